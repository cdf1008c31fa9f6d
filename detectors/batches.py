"""Batches: the blocks that closed at one moment, as arrays, one entry for each segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.blocks import Block
from detectors.rows import check_rows
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary

_LOWEST: Final = np.array([[0.0], [0.0], [0.0], [0.0], [-np.finfo(np.float64).max], [-np.finfo(np.float64).max]])
"""Of counts and sums of squares, then of means."""

SHARE_MIN: Final = 1e-6
"""An arm with a smaller share of a block counts as missing: the nearest null is not computed accurately there."""


class RateBatch(msgspec.Struct, frozen=True, eq=False):
    """Counts of both arms in m blocks, at most one for each row.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments (:mod:`detectors.rows`).
    n_b, k_b : [m] trials of the baseline and how many of them are bad, as floats.
    n_c, k_c : [m] the same of the canary. An arm that is missing has n = 0.
    stride : rows of a group when there are several groups, then ``rows`` ascends; None when there is one.

    Raises
    ------
    ValueError : when a row repeats or is a total's, or counts are not finite with 0 <= k <= n.

    >>> batch = RateBatch.of([(1, Rate(95, 1), Rate(5, 0)), (2, Rate(19, 0), Rate(1, 1))])
    >>> batch.n_c.tolist(), batch.k_c.tolist()
    ([5.0, 1.0], [0.0, 1.0])
    """

    rows: Ints
    n_b: Floats
    k_b: Floats
    n_c: Floats
    k_c: Floats
    stride: int | None = None

    def __post_init__(self) -> None:
        check_rows(self.rows, self.stride)
        columns = (self.n_b, self.n_c, self.k_b, self.k_c)
        if {column.shape for column in columns} != {self.rows.shape}:
            raise ValueError("RateBatch: every column has one entry for each row")
        n, k = np.array(columns).reshape(2, -1)
        if not np.logical_and.reduce((k >= 0) & (k <= n) & (n < np.inf)):
            raise ValueError("RateBatch: counts must be finite with 0 <= k <= n, one for each row")

    @classmethod
    def of(cls, entries: Sequence[tuple[int, Rate, Rate]]) -> RateBatch:
        """From (row, baseline, canary) of each block."""
        numbers = np.array([(b.n, b.k, c.n, c.k) for _, b, c in entries], dtype=np.float64).reshape(-1, 4)
        return cls.checked(_rows([row for row, _, _ in entries]), *numbers.T)

    @classmethod
    def checked(cls, rows: Ints, n_b: Floats, k_b: Floats, n_c: Floats, k_c: Floats) -> RateBatch:
        """Of counts that are valid already, as those of a :class:`~detectors.summaries.rate.Rate` are: not asked twice.

        Raises
        ------
        ValueError : when a row repeats or is a total's.
        """
        check_rows(rows)
        return _CheckedRates(rows, n_b, k_b, n_c, k_c)

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms, each with at least a share of SHARE_MIN."""
        return np.minimum(self.n_b, self.n_c) > SHARE_MIN * (self.n_b + self.n_c)

    @property
    def pairs(self) -> RateBatch:
        """The blocks that have both arms."""
        chosen = self.paired
        if all(chosen.tolist()):
            return self
        n_b, k_b, n_c, k_c = (column[chosen] for column in (self.n_b, self.k_b, self.n_c, self.k_c))
        return _CheckedRates(self.rows[chosen], n_b, k_b, n_c, k_c, self.stride)


class MeanBatch(msgspec.Struct, frozen=True, eq=False):
    """Moments of both arms in m blocks, at most one for each row.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments (:mod:`detectors.rows`).
    n_b, mean_b, m2_b : [m] count, mean and sum of squared deviations of the baseline.
    n_c, mean_c, m2_c : [m] the same of the canary. An arm that is missing has n = 0.
    stride : as for :class:`RateBatch`.

    Raises
    ------
    ValueError : when a row repeats or is a total's, or a number is not finite, or n or m2 negative.

    >>> batch = MeanBatch.of([(1, Moments(2, 1.0, 2.0), Moments(1, 3.0, 0.0))])
    >>> batch.mean_c.tolist(), batch.paired.tolist()
    ([3.0], [True])
    """

    rows: Ints
    n_b: Floats
    mean_b: Floats
    m2_b: Floats
    n_c: Floats
    mean_c: Floats
    m2_c: Floats
    stride: int | None = None

    def __post_init__(self) -> None:
        check_rows(self.rows, self.stride)
        columns = (self.n_b, self.m2_b, self.n_c, self.m2_c, self.mean_b, self.mean_c)
        if {column.shape for column in columns} != {self.rows.shape}:
            raise ValueError("MeanBatch: every column has one entry for each row")
        numbers = np.array(columns)
        if not np.logical_and.reduce((numbers >= _LOWEST) & (numbers < np.inf), axis=None):
            raise ValueError("MeanBatch: every number must be finite, and n and m2 >= 0")

    @classmethod
    def of(cls, entries: Sequence[tuple[int, Moments, Moments]]) -> MeanBatch:
        """From (row, baseline, canary) of each block."""
        numbers = np.array([(b.n, b.mean, b.m2, c.n, c.mean, c.m2) for _, b, c in entries], dtype=np.float64).reshape(
            -1, 6
        )
        rows = _rows([row for row, _, _ in entries])
        check_rows(rows)
        return CheckedMeans(rows, *numbers.T)

    @classmethod
    def of_rates(cls, batch: RateBatch) -> MeanBatch:
        """Rates as means of zeros and ones: mean k/n and m2 = k (n - k) / n."""
        mean_b = batch.k_b / np.maximum(batch.n_b, 1.0)
        mean_c = batch.k_c / np.maximum(batch.n_c, 1.0)
        m2_b = mean_b * (batch.n_b - batch.k_b)
        m2_c = mean_c * (batch.n_c - batch.k_c)
        return CheckedMeans(batch.rows, batch.n_b, mean_b, m2_b, batch.n_c, mean_c, m2_c, batch.stride)

    @property
    def arms(self) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
        """Count, mean and sum of squared deviations of the baseline, then of the canary, each [m]."""
        return self.n_b, self.mean_b, self.m2_b, self.n_c, self.mean_c, self.m2_c

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms."""
        return (self.n_b > 0) & (self.n_c > 0)

    def take(self, chosen: Flags) -> MeanBatch:
        """Some of the blocks."""
        if all(chosen.tolist()):
            return self
        return CheckedMeans(
            self.rows[chosen],
            n_b=self.n_b[chosen],
            mean_b=self.mean_b[chosen],
            m2_b=self.m2_b[chosen],
            n_c=self.n_c[chosen],
            mean_c=self.mean_c[chosen],
            m2_c=self.m2_c[chosen],
            stride=self.stride,
        )


class _CheckedRates(RateBatch, frozen=True, eq=False):
    def __post_init__(self) -> None:
        """Nothing is asked: whoever makes one has."""


class CheckedMeans(MeanBatch, frozen=True, eq=False):
    """A batch of numbers that are valid already, as another batch's are: they are not asked twice."""

    def __post_init__(self) -> None:
        """Nothing is asked: whoever makes one has."""


def rate_batch(blocks: Sequence[Block], rate: Callable[[Summary], Rate], *, baseline: str, canary: str) -> RateBatch:
    """The batch of one rate, e.g. ``lambda s: s.requests`` or ``lambda s: s.labels["finish_reason"].rate("stop")``.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    rate : what to count in an arm that was there.
    baseline, canary : versions.
    """
    nothing = Rate.empty()

    def of(block: Block, version: str) -> Rate:
        summary = block.arms.get(version)
        return nothing if summary is None else rate(summary)

    return RateBatch.of([(block.row, of(block, baseline), of(block, canary)) for block in blocks])


def mean_batch(blocks: Sequence[Block], metric: str, *, baseline: str, canary: str) -> MeanBatch:
    """The batch of the mean of one metric, e.g. ``latency_ms``.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    metric : name as in :class:`detectors.summaries.summary.Summary`.
    baseline, canary : versions.
    """
    nothing = Moments.empty()

    def of(block: Block, version: str) -> Moments:
        summary = block.arms.get(version)
        measure = None if summary is None else summary.metrics.get(metric)
        return nothing if measure is None else measure.moments

    return MeanBatch.of([(block.row, of(block, baseline), of(block, canary)) for block in blocks])


def _rows(rows: list[int]) -> Ints:
    return np.array(rows, dtype=np.int64)
