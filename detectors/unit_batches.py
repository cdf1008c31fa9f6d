"""Batches by bucket of units: the blocks that closed at one moment, with each arm's sums in each bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.blocks import Block
from detectors.rows import check_rows
from detectors.summaries.bucket_counts import tables
from detectors.summaries.by_unit import ByUnit, UnitMeasure, counts_and_sums
from schemas.unit_hash import UNIT_BUCKETS

BUCKETS: Final = UNIT_BUCKETS
"""K, the number of buckets that units are hashed into."""

_NOTHING: Final = ByUnit.empty()
_NO_VALUES: Final = UnitMeasure.empty()


Arm = tuple[Floats, Floats, Floats]
"""Count and sum of an arm's values by bucket, and the sum of their squared deviations."""


class UnitTotals(NamedTuple):
    """Counts and sums of both arms over all buckets, each [m]."""

    n_b: Floats
    n_c: Floats
    sum_b: Floats
    sum_c: Floats

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms."""
        return np.minimum(self.n_b, self.n_c) > 0


class UnitBatch(msgspec.Struct, frozen=True, eq=False):
    """Values of both arms in m blocks, at most one for each row, summed within each bucket of units.

    A unit's bucket is a hash of the unit that has nothing to do with the salt of the split, so that every bucket
    holds units of both arms in the split's proportion, and all requests of a unit, whenever they come, are in one.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments (:mod:`detectors.rows`).
    n_b, sum_b : [m, K] count and sum of the baseline's values in each bucket.
    m2_b : [m] sum of the squared deviations of the baseline's values from the block's mean of the baseline.
    n_c, sum_c, m2_c : the same of the canary. An arm that is missing has n = 0 everywhere.
    stride : as for :class:`detectors.batches.RateBatch`.

    Raises
    ------
    ValueError : when a row repeats or is a total's, shapes do not fit, numbers are not finite, or n or m2 negative.

    >>> ones = np.array([[2.0, 0.0]])
    >>> batch = UnitBatch.of_counts(np.array([1]), n_b=2 * ones, k_b=ones, n_c=ones, k_c=ones)
    >>> batch.m2_b.tolist(), batch.m2_c.tolist(), batch.totals.paired.tolist()
    ([1.0], [0.0], [True])
    """

    rows: Ints
    n_b: Floats
    sum_b: Floats
    m2_b: Floats
    n_c: Floats
    sum_c: Floats
    m2_c: Floats
    stride: int | None = None

    def __post_init__(self) -> None:
        check_rows(self.rows, self.stride)
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
    def of_counts(
        cls, rows: Ints, *, n_b: Floats, k_b: Floats, n_c: Floats, k_c: Floats, stride: int | None = None
    ) -> UnitBatch:
        """From counts [m, K] of values, and of those that are bad: errors, exceedances, one label."""

        def m2(n: Floats, k: Floats) -> Floats:
            total, bad = n.sum(axis=1), k.sum(axis=1)
            squares: Floats = bad * (total - bad) / np.maximum(total, 1.0)
            return squares

        return cls(rows, n_b, k_b, m2(n_b, k_b), n_c, k_c, m2(n_c, k_c), stride)

    @property
    def arms(self) -> tuple[Arm, Arm]:
        """Of the baseline and of the canary."""
        return (self.n_b, self.sum_b, self.m2_b), (self.n_c, self.sum_c, self.m2_c)

    @property
    def totals(self) -> UnitTotals:
        """Over all buckets."""
        columns = (self.n_b, self.n_c, self.sum_b, self.sum_c)
        return UnitTotals(*[np.add.reduce(column, axis=1) for column in columns])

    def take(self, chosen: Flags) -> UnitBatch:
        """Some of the blocks."""
        if chosen.all():
            return self
        columns = (self.n_b, self.sum_b, self.m2_b, self.n_c, self.sum_c, self.m2_c)
        n_b, sum_b, m2_b, n_c, sum_c, m2_c = (column[chosen] for column in columns)
        return CheckedUnits(self.rows[chosen], n_b, sum_b, m2_b, n_c, sum_c, m2_c, self.stride)


class CheckedUnits(UnitBatch, frozen=True, eq=False):
    """A batch of numbers that are valid already, as those of summaries are: they are not asked twice."""

    def __post_init__(self) -> None:
        """Nothing is asked: whoever makes one has."""


def unit_rate_batch(blocks: Sequence[Block], *, baseline: str, canary: str) -> UnitBatch:
    """The batch of the error rate, of the requests that came with a unit.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    baseline, canary : versions.
    """
    requests = [_by_unit(block, version).requests for version in (baseline, canary) for block in blocks]
    (n_b, n_c), (k_b, k_c) = _by_arm(tables(requests, np.zeros((1, len(requests)), dtype=np.int64)))
    return CheckedUnits.of_counts(_rows(blocks), n_b=n_b, k_b=k_b, n_c=n_c, k_c=k_c)


def unit_mean_batch(blocks: Sequence[Block], metric: str, *, baseline: str, canary: str) -> UnitBatch:
    """The batch of the mean of one metric, of the values that came with a unit.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    metric : name as in :class:`detectors.summaries.summary.Summary`.
    baseline, canary : versions.
    """
    found = [_measure(block, version, metric) for version in (baseline, canary) for block in blocks]
    (n_b, n_c), (sum_b, sum_c) = _by_arm(np.array(counts_and_sums(found)))
    m2_b, m2_c = np.array([one.m2 for one in found], dtype=np.float64).reshape(2, -1)
    return CheckedUnits(_rows(blocks), n_b, sum_b, m2_b, n_c, sum_c, m2_c)


def unit_exceedance_batches(
    blocks: Sequence[Block], metric: str, *, edge_b: int, edges_c: tuple[int, ...], baseline: str, canary: str
) -> list[UnitBatch]:
    """For each of the canary's edges the batch of how often a metric is above, of the values with a unit. Exact.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    metric : name as in :class:`detectors.summaries.summary.Summary`; reported with a histogram.
    edge_b, edges_c : the bins (:func:`detectors.summaries.log_histogram.bin_of`) above whose upper edge a value of the
        baseline, and one of the canary, counts.
    baseline, canary : versions.
    """
    rows, edges = _rows(blocks), np.full((len(edges_c), 2 * len(blocks)), edge_b, dtype=np.int64)
    edges[:, len(blocks) :] = np.array(edges_c)[:, None]
    pairs = [_measure(block, version, metric).pairs for version in (baseline, canary) for block in blocks]
    (n_b, n_c), *beyond = _by_arm(tables(pairs, edges))
    return [CheckedUnits.of_counts(rows, n_b=n_b, k_b=k_b, n_c=n_c, k_c=k_c) for k_b, k_c in beyond]


def with_unit(blocks: Sequence[Block], version: str) -> tuple[int, int]:
    """How many requests of a version in these blocks came with a unit, and how many there were."""
    summaries = [block.arms[version] for block in blocks if version in block.arms]
    carried = sum(one.units.requests.n for one in summaries if one.units is not None)
    return carried, sum(one.requests.n for one in summaries)


def _by_unit(block: Block, version: str) -> ByUnit:
    summary = block.arms.get(version)
    return _NOTHING if summary is None or summary.units is None else summary.units


def _measure(block: Block, version: str, metric: str) -> UnitMeasure:
    return _by_unit(block, version).metrics.get(metric, _NO_VALUES)


def _by_arm(tables: Floats) -> Floats:
    """[…, 2, m, K] tables of the baseline's and the canary's blocks, of [..., 2 m, K] of both."""
    split: Floats = tables.reshape(tables.shape[0], 2, -1, BUCKETS)
    return split


def _rows(blocks: Sequence[Block]) -> Ints:
    return np.array([block.row for block in blocks], dtype=np.int64)
