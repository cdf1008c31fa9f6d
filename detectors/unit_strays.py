"""Requests that carry no unit, where units are counted: they are not left out."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch
from detectors.unit_batches import BUCKETS, CheckedUnits, UnitBatch
from schemas.report import SLICE_MS


def bucket_of_strays(ended_ms: int) -> int:
    """The bucket for values without a unit of the blocks that ended at one moment, Unix ms of log time."""
    return ended_ms // SLICE_MS % BUCKETS


def with_strays(by_unit: UnitBatch, whole: MeanBatch, bucket: int) -> UnitBatch:
    """The batch of all values, those without a unit together in one bucket.

    Leaving them out would hide the harm of a version that fails before it knows whom it serves. The bucket changes
    with every moment: values without a unit count as dependent within a block and as independent between blocks.

    Parameters
    ----------
    by_unit : values that came with a unit.
    whole : all values of the same blocks.
    bucket : of the moment.

    >>> one = np.ones((1, BUCKETS))
    >>> by_unit = UnitBatch.of_counts(np.array([1]), n_b=one, k_b=0 * one, n_c=one, k_c=0 * one)
    >>> n = np.array([202.0])
    >>> whole = MeanBatch(np.array([1]), n_b=n, mean_b=1 / n, m2_b=1 - 1 / n, n_c=n, mean_c=0 * n, m2_c=0 * n)
    >>> found = with_strays(by_unit, whole, 7)
    >>> found.n_b[0, 6:9].tolist(), found.sum_b[0, 6:9].round(12).tolist()
    ([1.0, 3.0, 1.0], [0.0, 1.0, 0.0])
    """

    def arm(n: Floats, total: Floats, all_n: Floats, all_mean: Floats) -> tuple[Floats, Floats]:
        stray = np.maximum(all_n - n.sum(axis=1), 0.0)
        if not stray.any():
            return n, total
        counts, sums = n.copy(), total.copy()
        counts[:, bucket] += stray
        # Without strays what is left is rounding, and rounding is no value.
        sums[:, bucket] += np.where(stray > 0, all_n * all_mean - total.sum(axis=1), 0.0)
        return counts, sums

    n_b, sum_b = arm(by_unit.n_b, by_unit.sum_b, whole.n_b, whole.mean_b)
    n_c, sum_c = arm(by_unit.n_c, by_unit.sum_c, whole.n_c, whole.mean_c)
    return CheckedUnits(by_unit.rows, n_b, sum_b, whole.m2_b, n_c, sum_c, whole.m2_c)
