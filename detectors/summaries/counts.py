"""Counts: how often each category was seen."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from detectors.summaries.rate import Rate


class Counts(msgspec.Struct, frozen=True):
    """Counts per category. A commutative monoid: identity ``Counts.empty()``, operation ``merge``.

    Who counts bounds the number of categories (``schemas.event.LABELS_MAX``); a merge only ever unites names.

    Parameters
    ----------
    counts : category to count, each >= 1.

    Raises
    ------
    ValueError : when a count is smaller than 1.

    >>> Counts({"stop": 9, "length": 1}).merge(Counts({"stop": 1})).counts
    {'length': 1, 'stop': 10}
    >>> Counts({"stop": 9, "length": 1}).rate("length").value
    0.1
    """

    counts: dict[str, int] = {}

    def __post_init__(self) -> None:
        for name, count in self.counts.items():
            if count < 1:
                raise ValueError(f"Counts: every count must be >= 1, found {count} for {name!r}")

    @classmethod
    def empty(cls) -> Counts:
        """The identity: nothing seen."""
        return cls()

    @property
    def n(self) -> int:
        """All categories together."""
        return sum(self.counts.values())

    @property
    def variety(self) -> float | None:
        """The chance that two answers differ (Simpson 1949): 1 - Σ share², or None without any.

        >>> Counts({"stop": 5, "length": 5}).variety
        0.5
        """
        n = self.n
        return 1.0 - sum((count / n) ** 2 for count in self.counts.values()) if n else None

    def rate(self, category: str) -> Rate:
        """How many of all were of this category."""
        return Rate(self.n, self.counts.get(category, 0))

    def merge(self, other: Counts) -> Counts:
        """The counts of both, names in ascending order."""
        return Counts.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Iterable[Counts]) -> Counts:
        """The counts of all parts, names in ascending order."""
        total: dict[str, int] = {}
        for part in parts:
            for name, count in part.counts.items():
                total[name] = total.get(name, 0) + count
        return cls(dict(sorted(total.items())))
