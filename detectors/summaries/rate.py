"""Rate: how many of how many."""

from __future__ import annotations

import msgspec


class Rate(msgspec.Struct, frozen=True, gc=False):
    """``k`` of ``n`` trials had the property. A commutative monoid: identity ``Rate.empty()``, operation ``merge``.

    Parameters
    ----------
    n : trials, >= 0.
    k : trials with the property, 0 <= k <= n.

    Raises
    ------
    ValueError : when k is not within 0..n.

    >>> Rate(100, 1).merge(Rate(50, 2))
    Rate(n=150, k=3)
    >>> Rate(150, 3).value, Rate.empty().value
    (0.02, None)
    """

    n: int = 0
    k: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"Rate: k must be within 0..n, found k={self.k}, n={self.n}")

    @classmethod
    def empty(cls) -> Rate:
        """The identity: no trials."""
        return cls()

    @property
    def value(self) -> float | None:
        """k / n, or None without trials."""
        return self.k / self.n if self.n else None

    def merge(self, other: Rate) -> Rate:
        """The rate over the trials of both."""
        return Rate(self.n + other.n, self.k + other.k)
