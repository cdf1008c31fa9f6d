"""Histograms of both arms in the blocks that closed at one moment: what quantiles are judged from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.blocks import Block
from detectors.rows import check_rows
from detectors.sequential.differences import Worse
from detectors.summaries.log_histogram import BIN_MAX, LogHistogram

_BELOW: Final = -BIN_MAX - 1
"""An edge below every bin."""

_LINE: Final = 2 * BIN_MAX + 2
"""Places for one arm's bins, and one to spare, so that the next arm's are beyond each of its edges."""


class HistogramBatch(msgspec.Struct, frozen=True, eq=False):
    """Histograms of both arms in m blocks, at most one for each row.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments.
    baseline, canary : one for each row; empty when the arm is missing.
    ended_ms : end of the blocks, Unix ms of log time, >= 0 and not before the previous batch.

    Raises
    ------
    ValueError : when a row repeats or is below 1, lengths differ, or the time is not finite or negative.

    >>> three = LogHistogram.of(np.array([1.0, 2.0, 3.0]))
    >>> batch = HistogramBatch.of([(1, three, LogHistogram.empty())], ended_ms=250)
    >>> batch.baseline[0].n, batch.canary[0].n
    (3, 0)
    """

    rows: Ints
    baseline: tuple[LogHistogram, ...]
    canary: tuple[LogHistogram, ...]
    ended_ms: int

    def __post_init__(self) -> None:
        check_rows(self.rows)
        if not len(self.baseline) == len(self.canary) == self.rows.size:
            raise ValueError("HistogramBatch: both arms have one histogram for each row")
        if not 0 <= self.ended_ms < np.inf:
            raise ValueError(f"HistogramBatch: ended_ms must be finite and >= 0, found {self.ended_ms}")

    @classmethod
    def of(cls, entries: Sequence[tuple[int, LogHistogram, LogHistogram]], *, ended_ms: int) -> HistogramBatch:
        """From (row, baseline, canary) of each block."""
        rows = np.array([row for row, _, _ in entries], dtype=np.int64)
        return cls(rows, tuple(b for _, b, _ in entries), tuple(c for _, _, c in entries), ended_ms)

    def beyond(self, edges: tuple[int, ...], worse: Worse) -> Floats:
        """[2, 1 + E, m] of both arms: values, and how many lie beyond each of E edges. Exact.

        Parameters
        ----------
        edges : upper edges of bins (:func:`detectors.summaries.log_histogram.bin_of`).
        worse : "beyond" is above where higher is worse, and at or below where lower is.

        >>> four = LogHistogram.of(np.array([1.0, 2.0, 3.0, 4.0]))
        >>> batch = HistogramBatch.of([(1, four, LogHistogram.empty())], ended_ms=250)
        >>> edge = int(four.bins[0])
        >>> batch.beyond((edge,), "higher")[..., 0].tolist(), batch.beyond((edge,), "lower")[0, 1].tolist()
        ([[4.0, 3.0], [0.0, 0.0]], [1.0])
        """
        arms = (*self.baseline, *self.canary)
        sizes = np.array([arm.bins.size for arm in arms])
        # One arm's bins after another's on one ascending line, so that one search finds every edge in every arm.
        begins = _LINE * np.arange(len(arms))
        line = np.concatenate([arm.bins for arm in arms]) + begins.repeat(sizes)
        cuts = line.searchsorted(np.array([_BELOW, *edges])[:, None] + begins, side="right")
        upto = np.zeros(line.size + 1)
        np.add.accumulate(np.concatenate([arm.counts for arm in arms]), out=upto[1:])
        counts = upto.take(np.add.accumulate(sizes)) - upto.take(cuts)
        found: Floats = counts.reshape(-1, 2, self.rows.size).swapaxes(0, 1)
        if worse == "lower":
            found[:, 1:] = found[:, :1] - found[:, 1:]
        return found


def histogram_batch(blocks: Sequence[Block], metric: str, *, baseline: str, canary: str) -> HistogramBatch:
    """The batch of one metric, e.g. ``latency_ms``.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them; at least one.
    metric : name as in :class:`detectors.summaries.summary.Summary`.
    baseline, canary : versions.
    """
    nothing = LogHistogram.empty()

    def of(block: Block, version: str) -> LogHistogram:
        summary = block.arms.get(version)
        measure = None if summary is None else summary.metrics.get(metric)
        return nothing if measure is None else measure.histogram

    entries = [(block.row, of(block, baseline), of(block, canary)) for block in blocks]
    return HistogramBatch.of(entries, ended_ms=max(block.ended_ms for block in blocks))
