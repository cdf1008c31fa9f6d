"""By bucket of units: the running sums of one slice, and how they are written into a report.

Every value that came with a unit is one entry, a code of (target, group, bucket). Entries wait as they are and are
counted by sorting when a report is due, or when many wait: no entry is ever looked at in Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.summaries.bucket_counts import packed
from detectors.summaries.log_histogram import BIN_MAX
from schemas.report import UnitMetric, UnitPairs
from schemas.unit_hash import UNIT_BUCKETS

_TARGET: Final = (2 * BIN_MAX + 1) * UNIT_BUCKETS
"""Codes of one target: its groups (the bins, -BIN_MAX..BIN_MAX) times buckets."""

_WAITING_MAX: Final = 1 << 16

Numbers = TypeVar("Numbers", Ints, Floats)


class UnitSums:
    """What came with a unit in one slice. Targets are numbered by :class:`streams.ingest.sums.SliceSums`."""

    __slots__ = ("_codes", "_counts", "_keys", "_sums", "_waiting", "_waiting_codes", "_waiting_sums")

    def __init__(self) -> None:
        self._codes, self._counts = _none(), _none()
        self._keys, self._sums = _none(), np.zeros(0)
        self._waiting_codes: list[Ints] = []
        self._waiting_sums: list[tuple[Ints, Floats]] = []
        self._waiting = 0

    def add(self, target: Ints, group: Ints, bucket: Ints) -> None:
        """Count values, one entry each."""
        self._waiting_codes.append(target * _TARGET + (group + BIN_MAX) * UNIT_BUCKETS + bucket)
        self._wait(target.size)

    def add_values(self, target: Ints, bucket: Ints, value: Floats) -> None:
        """Sum values up, one entry each."""
        self._waiting_sums.append((target * UNIT_BUCKETS + bucket, value))
        self._wait(target.size)

    def _wait(self, entries: int) -> None:
        self._waiting += entries
        if self._waiting > _WAITING_MAX + 2 * self._codes.size:
            self._settle()

    def _settle(self) -> None:
        self._waiting = 0
        if self._waiting_codes:
            fresh = np.sort(np.concatenate(self._waiting_codes))
            self._waiting_codes.clear()
            codes, counts = np.concatenate([self._codes, fresh]), np.ones(self._codes.size + fresh.size, dtype=np.int64)
            counts[: self._counts.size] = self._counts
            self._codes, self._counts = _reduced(codes, counts)
        if self._waiting_sums:
            keys = np.concatenate([self._keys, *(keys for keys, _ in self._waiting_sums)])
            values = np.concatenate([self._sums, *(values for _, values in self._waiting_sums)])
            self._waiting_sums.clear()
            self._keys, self._sums = _reduced(keys, values)

    def report(self, targets: int, *, bytes_max: float) -> UnitBytes | None:
        """The sums of all targets, numbered below ``targets``, or None when nothing came with a unit.

        When they need more than ``bytes_max``, neighbouring buckets are counted as one until they do not.
        """
        self._settle()
        if not self._codes.size:
            return None
        codes, counts, keys, sums = self._codes, self._counts, self._keys, self._sums
        joined = 1
        while _size(codes, counts, sums) > bytes_max and joined < UNIT_BUCKETS:
            joined *= 2
            # Buckets that are counted as one are still whole units: coarser, and as valid.
            codes, counts = _reduced(_joined(self._codes, joined), self._counts)
            keys, sums = _reduced(_joined(self._keys, joined), self._sums)
        return UnitBytes.of(codes, counts, keys, sums, targets)


@dataclass(frozen=True, slots=True)
class UnitBytes:
    """The sums of a slice, ready to be cut into the parts of its cells.

    Parameters
    ----------
    buckets, counts, largest : of all pairs in order; the largest count of each target.
    groups, sizes : the groups that have pairs, and how many; of all targets one after the other.
    pair_edges, group_edges, sum_edges : [targets + 1] where each target begins.
    """

    buckets: Ints
    counts: Ints
    groups: Ints
    sizes: Ints
    sums: Floats
    pair_edges: list[int]
    group_edges: list[int]
    sum_edges: list[int]

    @classmethod
    def of(cls, codes: Ints, counts: Ints, keys: Ints, sums: Floats, targets: int) -> UnitBytes:
        group = codes // UNIT_BUCKETS
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        sizes = np.diff(np.append(starts, codes.size))
        numbers = np.arange(targets + 1)
        return cls(
            buckets=codes - group * UNIT_BUCKETS,
            counts=counts,
            groups=codes[starts] % _TARGET // UNIT_BUCKETS - BIN_MAX,
            sizes=sizes,
            sums=sums,
            pair_edges=np.searchsorted(codes, numbers * _TARGET).tolist(),
            group_edges=np.searchsorted(codes[starts], numbers * _TARGET).tolist(),
            sum_edges=np.searchsorted(keys, numbers * UNIT_BUCKETS).tolist(),
        )

    def pairs(self, target: int, groups: Ints) -> UnitPairs | None:
        """The pairs of one target, whose groups are these, ascending; None without any."""
        start, end = self.pair_edges[target : target + 2]
        if start == end:
            return None
        first, last = self.group_edges[target : target + 2]
        sizes = self.sizes[first:last]
        if sizes.size != groups.size:
            there = np.zeros(groups.size, dtype=np.int64)
            there[np.searchsorted(groups, self.groups[first:last])] = sizes
            sizes = there
        return packed(sizes, self.buckets[start:end], self.counts[start:end])

    def metric(self, target: int, bins: Ints, m2: float) -> UnitMetric | None:
        """The part of a metric's cell."""
        pairs = self.pairs(target, bins)
        if pairs is None:
            return None
        start, end = self.sum_edges[target : target + 2]
        return UnitMetric(pairs, self.sums[start:end].astype("<f8").tobytes(), m2)


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


def _reduced(keys: Ints, numbers: Numbers) -> tuple[Ints, Numbers]:
    """Distinct keys, ascending, with the sum of the numbers of each."""
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    starts = np.flatnonzero(np.diff(ascending, prepend=-1))
    return ascending[starts], np.add.reduceat(numbers[order], starts)


def _joined(codes: Ints, buckets: int) -> Ints:
    """Codes with the buckets in runs of this many counted as the first of the run."""
    bucket = codes % UNIT_BUCKETS
    joined: Ints = codes - bucket % buckets
    return joined


def _size(codes: Ints, counts: Ints, sums: Floats) -> int:
    """Encoded bytes at most, with a width of the counts for all."""
    width = 0 if int(counts.max()) == 1 else 1 if int(counts.max()) < 256 else 4
    return codes.size * (1 + width) + 8 * sums.size
