"""Batches by bucket of units: the blocks that closed at one moment, with each arm's sums in each bucket."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.batches import check_rows

BUCKETS: Final = 200
"""K, the number of buckets that units are hashed into; enough for a variance that is right within a tenth."""


class UnitBatch(msgspec.Struct, frozen=True, eq=False):
    """Values of both arms in m blocks, at most one for each row, summed within each bucket of units.

    A unit's bucket is a hash of the unit that has nothing to do with the salt of the split, so that every bucket
    holds units of both arms in the split's proportion, and all requests of a unit, whenever they come, are in one.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments.
    n_b, sum_b : [m, K] count and sum of the baseline's values in each bucket.
    m2_b : [m] sum of the squared deviations of the baseline's values from the block's mean of the baseline.
    n_c, sum_c, m2_c : the same of the canary. An arm that is missing has n = 0 everywhere.

    Raises
    ------
    ValueError : when a row repeats or is below 1, shapes do not fit, numbers are not finite, or n or m2 negative.

    >>> ones = np.array([[2.0, 0.0]])
    >>> batch = UnitBatch.of_counts(np.array([1]), n_b=2 * ones, k_b=ones, n_c=ones, k_c=ones)
    >>> batch.m2_b.tolist(), batch.m2_c.tolist(), batch.paired.tolist()
    ([1.0], [0.0], [True])
    """

    rows: Ints
    n_b: Floats
    sum_b: Floats
    m2_b: Floats
    n_c: Floats
    sum_c: Floats
    m2_c: Floats

    def __post_init__(self) -> None:
        check_rows(self.rows)
        table = (self.rows.size, self.n_b.shape[-1])
        by_bucket = (self.n_b, self.sum_b, self.n_c, self.sum_c)
        if any(a.shape != table for a in by_bucket) or {self.m2_b.shape, self.m2_c.shape} != {self.rows.shape}:
            raise ValueError("UnitBatch: sums are [m, K] and m2 [m], one for each row")
        numbers = (*by_bucket, self.m2_b, self.m2_c)
        if not all(np.isfinite(a).all() for a in numbers) or any(
            bool((a < 0).any()) for a in (self.n_b, self.n_c, *numbers[4:])
        ):
            raise ValueError("UnitBatch: every number must be finite, and n and m2 >= 0")

    @classmethod
    def of_counts(cls, rows: Ints, *, n_b: Floats, k_b: Floats, n_c: Floats, k_c: Floats) -> UnitBatch:
        """From counts [m, K] of values, and of those that are bad: errors, exceedances, one label."""

        def m2(n: Floats, k: Floats) -> Floats:
            total, bad = n.sum(axis=1), k.sum(axis=1)
            squares: Floats = bad * (total - bad) / np.maximum(total, 1.0)
            return squares

        return cls(rows, n_b, k_b, m2(n_b, k_b), n_c, k_c, m2(n_c, k_c))

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms."""
        both: Flags = (self.n_b.sum(axis=1) > 0) & (self.n_c.sum(axis=1) > 0)
        return both

    def take(self, chosen: Flags) -> UnitBatch:
        """Some of the blocks."""
        columns = (self.n_b, self.sum_b, self.m2_b, self.n_c, self.sum_c, self.m2_c)
        return UnitBatch(self.rows[chosen], *(column[chosen] for column in columns))
