"""Moments: count, mean and sum of squared deviations."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, sqrt

import msgspec

from detectors.arrays import Floats


class Moments(msgspec.Struct, frozen=True, gc=False):
    """Count, mean, and ``m2`` = sum of (x - mean)². A commutative monoid up to rounding.

    Merging follows Chan, Golub and LeVeque (1979), eq. 2.1: with D = mean2 - mean1, mean = mean1 + D n2/n and
    m2 = m2_1 + m2_2 + D² n1 n2/n. There is no inverse operation on purpose: subtracting m2 after one large value
    loses every digit, so windows are merged from panes.

    Parameters
    ----------
    n : values, >= 0.
    mean : mean in the metric's unit; 0 by convention when n = 0.
    m2 : sum of squared deviations from the mean, >= 0.

    Raises
    ------
    ValueError : when a number is negative where it cannot be, or not finite.

    >>> Moments(2, 1.0, 2.0).merge(Moments(2, 3.0, 2.0))
    Moments(n=4, mean=2.0, m2=8.0)
    >>> Moments.empty().value is None, Moments(1, 5.0, 0.0).variance is None
    (True, True)
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 0 or not self.m2 >= 0.0 or not isfinite(self.mean) or not isfinite(self.m2):
            raise ValueError(
                f"Moments: n and m2 must be >= 0 and all finite, found n={self.n}, mean={self.mean}, m2={self.m2}"
            )

    @classmethod
    def empty(cls) -> Moments:
        """The identity: no values."""
        return cls()

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """The moments of an array of finite values, in two passes."""
        if values.size == 0:
            return cls()
        mean = float(values.mean())
        return cls(int(values.size), mean, float(((values - mean) ** 2).sum()))

    @property
    def value(self) -> float | None:
        """The mean, or None without values."""
        return self.mean if self.n else None

    @property
    def variance(self) -> float | None:
        """m2 / (n - 1), or None with fewer than two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else None

    @property
    def sd(self) -> float | None:
        """Square root of the variance, or None with fewer than two values."""
        variance = self.variance
        return None if variance is None else sqrt(variance)

    def merge(self, other: Moments) -> Moments:
        """The moments of the values of both."""
        return Moments.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Iterable[Moments]) -> Moments:
        """The moments of the values of all parts, merged in the given order."""
        n, mean, m2 = 0, 0.0, 0.0
        for part in parts:
            if n == 0:
                n, mean, m2 = part.n, part.mean, part.m2
            elif part.n:
                before, n = n, n + part.n
                share, difference = part.n / n, part.mean - mean
                mean += difference * share
                m2 = m2 + part.m2 + difference * difference * (before * share)
        return cls(n, mean, m2)
