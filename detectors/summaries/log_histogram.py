"""LogHistogram: a mergeable histogram whose quantiles are right to 1 %."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Bins, Floats, Ints
from detectors.summaries.bin_lookup import BinLookup

RELATIVE_ACCURACY: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)

_LOG_GAMMA: Final = log(GAMMA)
_FIRST: Final = ceil(log(1e-9) / _LOG_GAMMA)
_LAST: Final = ceil(log(1e12) / _LOG_GAMMA)
_OFFSET: Final = _FIRST - 1

BIN_MAX: Final = _LAST - _OFFSET
"""Bins run from -BIN_MAX to BIN_MAX, 0 being the bin of zero: at most 2 BIN_MAX + 1 bins, about 4,800."""

_MAGNITUDE_MIN: Final = GAMMA ** (_OFFSET - 2)
_MAGNITUDE_MAX: Final = GAMMA ** (_LAST + 2)
_EDGE_SLACK: Final = 1e-9


def bin_of(values: Floats) -> Bins:
    """The bin of each value, on one line of int32 indexes, ascending with the value.

    With g = GAMMA and F the (negative) exponent of the smallest magnitude, 1e-9:

    - bin i > 0 holds g^(F+i-2) < x <= g^(F+i-1);
    - bin 0 holds -g^(F-1) < x <= g^(F-1): zero and whatever is smaller than about 1e-9;
    - bin -i < 0 holds -g^(F+i-1) < x <= -g^(F+i-2).

    So every bin is a half-open interval ``(lower, upper]`` and "x is above this edge" is exact. Magnitudes above
    about 1e12 share the outermost bins. A value within 2e-11 (relative) of an edge counts as on it.

    Parameters
    ----------
    values : finite floats, any shape.

    Returns
    -------
    int32 indexes of the same shape.

    Raises
    ------
    ValueError : when a value is not finite.

    >>> bin_of(np.array([-1.0, 0.0, 1.0, 1.0205, 1e300])).tolist()
    [-1038, 0, 1037, 1039, 2419]
    """
    values = np.asarray(values, dtype=np.float64)
    found = _lookup(values)
    if found is not None:
        return found
    if not np.isfinite(values).all():
        raise ValueError("bin_of: values must be finite, found NaN or infinity")
    exponents = _exponents(np.abs(values))
    positive = values > 0
    indexes = np.where(positive, np.ceil(exponents - _EDGE_SLACK), np.floor(exponents + _EDGE_SLACK) + 1)
    indexes = np.clip(indexes - _OFFSET, 0, BIN_MAX)
    bins: Bins = np.where(positive, indexes, -indexes).astype(np.int32)
    return bins


def _exponents(magnitudes: Floats) -> Floats:
    found: Floats = np.log(np.clip(magnitudes, _MAGNITUDE_MIN, _MAGNITUDE_MAX)) / _LOG_GAMMA
    return found


def _bin_of_positive(values: Floats) -> Bins:
    bins: Bins = np.clip(np.ceil(_exponents(values) - _EDGE_SLACK) - _OFFSET, 0, BIN_MAX).astype(np.int32)
    return bins


# No metric that counts or times has negative values, and the logarithm of each was most of what a bin cost.
_lookup: Final = BinLookup(_bin_of_positive, lowest=2.0**-31, highest=2.0**41)


def upper_edge(index: int) -> float:
    """The largest value of a bin, in the metric's unit.

    >>> upper_edge(0) < 1.1e-9, abs(upper_edge(1037) - 1.0) < 0.03
    (True, True)
    >>> bin_of(np.array([upper_edge(7), upper_edge(-7)])).tolist()
    [7, -7]
    """
    if not -BIN_MAX <= index <= BIN_MAX:
        raise ValueError(f"upper_edge: a bin is within -{BIN_MAX}..{BIN_MAX}, found {index}")
    if index >= 0:
        return float(GAMMA ** (_OFFSET + index))
    return -float(GAMMA ** (_OFFSET - index - 1))


def middle(index: int) -> float:
    """The value that stands for a bin: within 1 % (relative) of every value in it; 0 for the bin of zero."""
    if index == 0:
        return 0.0
    magnitude = 2.0 * GAMMA ** (_OFFSET + abs(index)) / (GAMMA + 1.0)
    return magnitude if index > 0 else -magnitude


def _no_bins() -> Bins:
    return np.zeros(0, dtype=np.int32)


def _no_counts() -> Ints:
    return np.zeros(0, dtype=np.int64)


class LogHistogram(msgspec.Struct, frozen=True, eq=False):
    """Sparse histogram over the bins of :func:`bin_of`. A commutative monoid.

    The idea is DDSketch (Masson, Rim and Lee, 2019), without its collapsing: the index range is bounded instead.

    Parameters
    ----------
    bins : int32, strictly ascending, within -BIN_MAX..BIN_MAX.
    counts : int64 of the same length, each >= 1.

    >>> h = LogHistogram.of(np.array([1.0, 2.0, 3.0, 100.0]))
    >>> h.n, round(h.quantile(0.5) or 0.0, 1), LogHistogram.empty().quantile(0.5) is None
    (4, 2.0, True)
    >>> h.merge(h).n
    8
    """

    bins: Bins = msgspec.field(default_factory=_no_bins)
    counts: Ints = msgspec.field(default_factory=_no_counts)

    @classmethod
    def empty(cls) -> LogHistogram:
        """The identity: no values."""
        return cls()

    @classmethod
    def of(cls, values: Floats) -> LogHistogram:
        """The histogram of an array of finite values."""
        bins, counts = np.unique(bin_of(values), return_counts=True)
        return cls(bins, counts.astype(np.int64))

    @classmethod
    def from_bytes(cls, bins: bytes, counts: bytes) -> LogHistogram:
        """From the little-endian arrays of a ``MetricCell``.

        Raises
        ------
        ValueError : when lengths differ, bins are not ascending or out of range, or a count is below 1.
        """
        if len(bins) % 4 or len(counts) != 2 * len(bins):
            raise ValueError(
                "LogHistogram: bins are int32 and counts int64 of the same length, "
                f"found {len(bins)} and {len(counts)} bytes"
            )
        indexes = np.frombuffer(bins, dtype="<i4")
        numbers = np.frombuffer(counts, dtype="<i8")
        if indexes.size and (
            indexes[0] < -BIN_MAX
            or indexes[-1] > BIN_MAX
            or bool((indexes[1:] <= indexes[:-1]).any())
            or int(numbers.min()) < 1
        ):
            raise ValueError(f"LogHistogram: bins ascend within ±{BIN_MAX} and every count is >= 1")
        return cls(indexes, numbers)

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Bins and counts as little-endian bytes, for a ``MetricCell``."""
        return self.bins.astype("<i4").tobytes(), self.counts.astype("<i8").tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogHistogram):
            return NotImplemented
        return np.array_equal(self.bins, other.bins) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    @property
    def n(self) -> int:
        """Number of values."""
        return int(np.add.reduce(self.counts))

    def merge(self, other: LogHistogram) -> LogHistogram:
        """The histogram of the values of both."""
        return LogHistogram.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[LogHistogram]) -> LogHistogram:
        """The histogram of the values of all parts, in one pass over a dense line of bins. Exact below 2⁵³ values."""
        filled = [part for part in parts if part.bins.size]
        if not filled:
            return cls()
        if len(filled) == 1:
            return filled[0]
        bins = np.concatenate([part.bins for part in filled])
        lowest = np.minimum.reduce(bins)
        dense = np.bincount(bins - lowest, np.concatenate([part.counts for part in filled]))
        positions = np.flatnonzero(dense)
        return cls((positions + lowest).astype(np.int32), dense[positions].astype(np.int64))

    def quantile_bin(self, level: float) -> int | None:
        """The bin of the value with rank ceil(level n): the smallest with a share of at least ``level`` up to it.

        Parameters
        ----------
        level : within 0..1.
        """
        if not 0.0 <= level <= 1.0:
            raise ValueError(f"quantile: level must be within 0..1, found {level}")
        if self.bins.size == 0:
            return None
        cumulated = np.cumsum(self.counts)
        rank = max(1, ceil(level * float(cumulated[-1])))
        return int(self.bins[min(int(np.searchsorted(cumulated, rank)), self.bins.size - 1)])

    def quantile(self, level: float) -> float | None:
        """The quantile (inverse of the empirical distribution) within 1 % relative; None without values."""
        index = self.quantile_bin(level)
        return None if index is None else middle(index)

    def count_above(self, index: int) -> int:
        """How many values lie above the upper edge of a bin. Exact."""
        return int(self.counts[int(np.searchsorted(self.bins, index, side="right")) :].sum())

    def count_between(self, one: int, other: int) -> int:
        """How many values lie between the upper edges of two bins, in either order. Exact.

        >>> values, bins = LogHistogram.of(np.array([1.0, 2.0])), bin_of(np.array([0.5, 1.0, 2.0])).tolist()
        >>> [values.count_between(bins[2], index) for index in bins]
        [2, 1, 0]
        """
        first, last = np.searchsorted(self.bins, sorted((one, other)), side="right").tolist()
        return int(self.counts[first:last].sum())
