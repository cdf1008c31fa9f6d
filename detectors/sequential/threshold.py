"""The baseline's quantile, from its past only: the threshold whose exceedances are counted."""

from __future__ import annotations

from math import ceil, floor, log, log1p
from typing import Final

import msgspec

from detectors.sequential.differences import Worse
from detectors.summaries.log_histogram import BIN_MAX, GAMMA, LogHistogram

SLICE_MS: Final = 60_000
SLICES: Final = 10
"""The quantile is that of the last ten closed minutes of log time: they are merged, never subtracted."""

TAIL_MIN: Final = 50
"""Values of the baseline beyond the threshold, at least, that it is taken from: p99 needs 5,000 values."""

_TAIL_CHECKED: Final = 20
_LOG_GAMMA: Final = log(GAMMA)


class Threshold(msgspec.Struct, frozen=True, eq=False):
    """A running quantile of the baseline.

    Parameters
    ----------
    bin : the threshold is this bin's upper edge; None until there were enough values.
    source : the histogram that the threshold was taken from.
    slice_no : the open slice's number, ``ended_ms // SLICE_MS``; -1 before any.
    open : values of the open slice.
    ring : the closed slices, oldest first, at most SLICES.
    n, k : the baseline's values since the last refresh, and how many of them were above the threshold.
    """

    bin: int | None = None
    source: LogHistogram = LogHistogram.empty()
    slice_no: int = -1
    open: LogHistogram = LogHistogram.empty()
    ring: tuple[LogHistogram, ...] = ()
    n: int = 0
    k: int = 0


def learn_threshold(threshold: Threshold, level: float, baseline: LogHistogram, ended_ms: int) -> Threshold:
    """The threshold for *later* blocks, after one moment's values of the baseline.

    Any threshold made of earlier blocks is valid; a good one follows the baseline. It is refreshed when a minute
    closes; at the very first when there are enough values; and at once when the baseline's share beyond it leaves
    ½ to 2 times what it should be, then from as few of the newest slices as hold enough values. (A frozen
    threshold tests another quantile: after a baseline has doubled, its old p99 is its p83.)

    Parameters
    ----------
    level : within (0, 1): 0.99 for p99.
    baseline : the values of all segments that came at this moment.
    ended_ms : end of their blocks, Unix ms of log time.

    >>> import numpy as np
    >>> from detectors.summaries.log_histogram import upper_edge
    >>> values = LogHistogram.of(np.linspace(1.0, 100.0, 1000))
    >>> later = learn_threshold(Threshold(), 0.5, values, 250)
    >>> 50.0 < upper_edge(later.bin) < 51.5, Threshold().bin is None
    (True, True)
    """
    n, k = threshold.n + baseline.n, threshold.k
    if threshold.bin is not None:
        k += baseline.count_above(threshold.bin)
    slice_no, ring, opened = ended_ms // SLICE_MS, threshold.ring, threshold.open
    closes = slice_no != threshold.slice_no and threshold.slice_no >= 0
    if closes:
        ring, opened = (*ring, opened)[-SLICES:], LogHistogram.empty()
    opened = opened.merge(baseline)
    grown = Threshold(threshold.bin, threshold.source, slice_no, opened, ring, n, k)
    needed = TAIL_MIN / min(level, 1.0 - level)
    if threshold.bin is None:
        return _refreshed(grown, level, LogHistogram.merge_all([*ring, opened]), needed)
    if _left(n, k, level):
        newest = _newest([*ring, opened], needed)
        dropped = msgspec.structs.replace(grown, ring=tuple(newest[:-1]))
        return _refreshed(dropped, level, LogHistogram.merge_all(newest), needed)
    return _refreshed(grown, level, LogHistogram.merge_all(ring), needed) if closes else grown


def _left(n: int, k: int, level: float) -> bool:
    """Whether the baseline's share above or below the threshold is no longer ½ to 2 times its own."""
    if n < _TAIL_CHECKED / min(level, 1.0 - level):
        return False
    shares = ((k, 1.0 - level), (n - k, level))
    return any(not 0.5 * share * n <= count <= max(2.0 * share, share + 0.5) * n for count, share in shares)


def _newest(slices: list[LogHistogram], needed: float) -> list[LogHistogram]:
    """The fewest newest slices with enough values; the open one is the last."""
    found: list[LogHistogram] = []
    n = 0
    for part in reversed(slices):
        found.insert(0, part)
        n += part.n
        if n >= needed:
            break
    return found


def _refreshed(threshold: Threshold, level: float, source: LogHistogram, needed: float) -> Threshold:
    if source.n < needed:
        return threshold
    return msgspec.structs.replace(threshold, bin=source.quantile_bin(level), source=source, n=0, k=0)


def shifted(index: int, worse: Worse, amount: float, *, outwards: bool) -> int:
    """The bin whose upper edge is that of another one made worse by a relative amount.

    Edges are a factor of GAMMA (2 %) apart, so the amount is rounded to whole bins: up for a tolerance (``outwards``),
    down for a margin. Never against the canary in FAIL, never for it in PASS. A negative edge gets worse (higher)
    towards zero; the bin of zero stays: nothing is relative to zero.

    Parameters
    ----------
    index : bin of the threshold.
    amount : relative, >= 0.

    >>> shifted(1000, "higher", 0.1, outwards=True), shifted(1000, "higher", 0.1, outwards=False)
    (1005, 1004)
    >>> shifted(1000, "lower", 0.0, outwards=True), shifted(0, "lower", 0.5, outwards=False)
    (1000, 0)
    """
    if index == 0:
        return 0
    away = (index > 0) == (worse == "higher")
    bins = log1p(amount) / _LOG_GAMMA if away else -log1p(-min(amount, 1.0 - 1e-12)) / _LOG_GAMMA
    steps = ceil(bins - 1e-9) if outwards else floor(bins + 1e-9)
    moved = index + (steps if worse == "higher" else -steps)
    stays_positive, lowest, highest = index > 0, -BIN_MAX, BIN_MAX
    return max(0, min(moved, highest)) if stays_positive else min(0, max(moved, lowest))
