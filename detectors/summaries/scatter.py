"""Scatter: count, mean vector and matrix of co-moments."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.arrays import Floats


class Scatter(msgspec.Struct, frozen=True, eq=False):
    """Count, mean vector, and ``s`` = sum of (x - mean)(x - mean)ᵀ. A commutative monoid up to rounding.

    Merging follows Chan, Golub and LeVeque (1979) in its vector form: S = S1 + S2 + D Dᵀ n1 n2/n.

    Parameters
    ----------
    n : vectors, >= 0.
    mean : [p], zeros when n = 0.
    s : [p, p], symmetric, positive semi-definite.

    Raises
    ------
    ValueError : when shapes do not fit or a number is not finite.

    >>> a = Scatter.of(np.array([[0.0, 0.0], [2.0, 2.0]]))
    >>> a.n, a.mean.tolist(), a.s.tolist()
    (2, [1.0, 1.0], [[2.0, 2.0], [2.0, 2.0]])
    >>> a.merge(Scatter.empty(2)).n, Scatter.empty(2).covariance is None
    (2, True)
    """

    n: int
    mean: Floats
    s: Floats

    def __post_init__(self) -> None:
        if self.n < 0 or self.mean.ndim != 1 or self.s.shape != (self.mean.size, self.mean.size):
            raise ValueError(
                f"Scatter: n >= 0, mean [p], s [p, p], found n={self.n}, {self.mean.shape}, {self.s.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.s).all()):
            raise ValueError("Scatter: all numbers must be finite")

    @classmethod
    def empty(cls, dimensions: int) -> Scatter:
        """The identity for vectors of this many dimensions."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def of(cls, vectors: Floats) -> Scatter:
        """The scatter of the rows of an array [n, p]."""
        if vectors.shape[0] == 0:
            return cls.empty(vectors.shape[1])
        mean = vectors.mean(axis=0)
        centred = vectors - mean
        return cls(vectors.shape[0], mean, centred.T @ centred)

    @classmethod
    def from_bytes(cls, n: int, mean: bytes, s: bytes) -> Scatter:
        """From the little-endian arrays of a ``ScatterCell``: the mean, and the upper triangle of ``s`` row by row.

        Raises
        ------
        ValueError : when lengths do not fit, or as the constructor.
        """
        means, upper = np.frombuffer(mean, dtype="<f8"), np.frombuffer(s, dtype="<f8")
        p = means.size
        if upper.size != p * (p + 1) // 2:
            raise ValueError(f"Scatter: {p} means need {p * (p + 1) // 2} co-moments, found {upper.size}")
        full = np.zeros((p, p))
        full[np.triu_indices(p)] = upper
        return cls(n, means, full + np.triu(full, 1).T)

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Mean and upper triangle as little-endian bytes, for a ``ScatterCell``.

        >>> a = Scatter.of(np.array([[0.0, 0.0], [2.0, 2.0]]))
        >>> Scatter.from_bytes(a.n, *a.to_bytes()) == a
        True
        """
        upper = self.s[np.triu_indices(self.mean.size)]
        return self.mean.astype("<f8").tobytes(), upper.astype("<f8").tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scatter):
            return NotImplemented
        return self.n == other.n and np.array_equal(self.mean, other.mean) and np.array_equal(self.s, other.s)

    def __hash__(self) -> int:
        return hash((self.n, self.mean.tobytes(), self.s.tobytes()))

    @property
    def covariance(self) -> Floats | None:
        """s / (n - 1), or None with fewer than two vectors."""
        return self.s / (self.n - 1) if self.n > 1 else None

    def merge(self, other: Scatter) -> Scatter:
        """The scatter of the vectors of both."""
        if self.mean.size != other.mean.size:
            raise ValueError(f"Scatter: cannot merge {self.mean.size} and {other.mean.size} dimensions")
        if self.n == 0:
            return other
        if other.n == 0:
            return self
        n = self.n + other.n
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.n / n)
        between = np.outer(difference, difference) * (self.n * (other.n / n))
        return Scatter(n, mean, self.s + other.s + between)

    @classmethod
    def merge_all(cls, parts: Sequence[Scatter]) -> Scatter:
        """The scatter of the vectors of all parts, at least one, merged in the given order."""
        merged = parts[0]
        for part in parts[1:]:
            merged = merged.merge(part)
        return merged
