"""Measure: everything kept of one numeric metric."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.arrays import Floats
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.moments import Moments


class Measure(msgspec.Struct, frozen=True):
    """Moments, histogram and extremes of one metric. A commutative monoid up to rounding.

    Parameters
    ----------
    moments, histogram : of the same values.
    low, high : smallest and largest value, in the metric's unit; None without values.

    >>> import numpy as np
    >>> m = Measure.of(np.array([1.0, 2.0])).merge(Measure.of(np.array([6.0])))
    >>> m.moments.n, m.moments.mean, m.low, m.high
    (3, 3.0, 1.0, 6.0)
    >>> m.quantile(0.0), Measure.empty().quantile(0.5) is None
    (1.0, True)
    """

    moments: Moments = Moments.empty()
    histogram: LogHistogram = LogHistogram.empty()
    low: float | None = None
    high: float | None = None

    @classmethod
    def empty(cls) -> Measure:
        """The identity: no values."""
        return cls()

    @classmethod
    def of(cls, values: Floats) -> Measure:
        """The measure of an array of finite values."""
        if values.size == 0:
            return cls()
        return cls(Moments.of(values), LogHistogram.of(values), low=float(values.min()), high=float(values.max()))

    def quantile(self, level: float) -> float | None:
        """The histogram's quantile, kept within the extremes, which are exact."""
        value = self.histogram.quantile(level)
        if value is None or self.low is None or self.high is None:
            return None
        return min(max(value, self.low), self.high)

    def merge(self, other: Measure) -> Measure:
        """The measure of the values of both."""
        return Measure.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[Measure]) -> Measure:
        """The measure of the values of all parts, moments merged in the given order."""
        lows = [part.low for part in parts if part.low is not None]
        highs = [part.high for part in parts if part.high is not None]
        return cls(
            Moments.merge_all(part.moments for part in parts),
            LogHistogram.merge_all([part.histogram for part in parts]),
            low=min(lows, default=None),
            high=max(highs, default=None),
        )
