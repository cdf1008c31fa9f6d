"""BucketCounts: how often each bucket of units was seen in each group."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.arrays import Bins, Floats, Ints
from schemas.report import UnitPairs
from schemas.unit_hash import UNIT_BUCKETS

_NO_EDGES = np.zeros((0, 0), dtype=np.int64)
_WIDTHS = ("<u1", "<u2", "<u4", "<u8")


def _no_codes() -> Bins:
    return np.zeros(0, dtype=np.int32)


def _no_counts() -> Ints:
    return np.zeros(0, dtype=np.int64)


class BucketCounts(msgspec.Struct, frozen=True, eq=False):
    """Sparse counts by group (a bin of a histogram, say) and bucket of units. A commutative monoid.

    Parameters
    ----------
    codes : int32, strictly ascending: group · UNIT_BUCKETS + bucket.
    counts : int64 of the same length, each >= 1.

    >>> counts = BucketCounts.of(np.array([7, 7, -1]), np.array([3, 3, 199]))
    >>> counts.codes.tolist(), counts.counts.tolist(), counts.n
    ([-1, 1403], [1, 2], 3)
    >>> tables([counts], np.array([[-1]]))[:, 0, [3, 199]].tolist()
    [[2.0, 1.0], [2.0, 0.0]]
    """

    codes: Bins = msgspec.field(default_factory=_no_codes)
    counts: Ints = msgspec.field(default_factory=_no_counts)

    @classmethod
    def empty(cls) -> BucketCounts:
        """The identity: nothing seen."""
        return cls()

    @classmethod
    def of(cls, groups: Ints, buckets: Ints) -> BucketCounts:
        """The counts of one entry for each pair of a group and a bucket."""
        codes, counts = np.unique((groups * UNIT_BUCKETS + buckets).astype(np.int32), return_counts=True)
        return cls(codes, counts.astype(np.int64))

    @classmethod
    def from_wire(cls, pairs: UnitPairs, groups: Bins, most: Ints) -> BucketCounts:
        """From a report.

        Parameters
        ----------
        groups : [G] what each group stands for, strictly ascending.
        most : [G] count that a group cannot exceed.

        Raises
        ------
        ValueError : when lengths do not fit, buckets do not ascend or are out of range, or counts are impossible.
        """
        sizes = np.frombuffer(pairs.sizes, dtype=np.uint8).astype(np.int64)
        buckets = np.frombuffer(pairs.buckets, dtype=np.uint8)
        if sizes.size != groups.size or int(sizes.sum()) != buckets.size:
            raise ValueError(
                f"BucketCounts: found {sizes.size} groups of {int(sizes.sum())} pairs, must be {groups.size} groups "
                f"of {buckets.size}"
            )
        group = np.repeat(np.arange(sizes.size), sizes)
        codes = (groups.astype(np.int64)[group] * UNIT_BUCKETS + buckets).astype(np.int32)
        if buckets.size and (int(buckets.max()) >= UNIT_BUCKETS or bool((codes[1:] <= codes[:-1]).any())):
            raise ValueError(f"BucketCounts: buckets must ascend within a group and be < {UNIT_BUCKETS}")
        counts = _unpacked(pairs.counts, buckets.size)
        if buckets.size and int(counts.min()) < 1:
            raise ValueError("BucketCounts: every count must be >= 1")
        if bool((np.bincount(group, weights=counts, minlength=groups.size) > most).any()):
            raise ValueError("BucketCounts: more with a unit than there were, found in a group of a cell")
        return cls(codes, counts)

    def to_wire(self, groups: Bins) -> UnitPairs:
        """For a report; ``groups`` are all that there are, ascending, not only those with pairs."""
        edges = np.searchsorted(self.codes, np.append(groups.astype(np.int64), 1 << 22) * UNIT_BUCKETS)
        return packed(np.diff(edges), self.codes % UNIT_BUCKETS, self.counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BucketCounts):
            return NotImplemented
        return np.array_equal(self.codes, other.codes) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.codes.tobytes(), self.counts.tobytes()))

    @property
    def n(self) -> int:
        """All pairs together."""
        return int(self.counts.sum())

    @property
    def buckets(self) -> Ints:
        """The buckets that occur, ascending."""
        return np.unique(self.codes % UNIT_BUCKETS).astype(np.int64)

    def merge(self, other: BucketCounts) -> BucketCounts:
        """The counts of both."""
        return BucketCounts.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[BucketCounts]) -> BucketCounts:
        """The counts of all parts."""
        filled = [part for part in parts if part.codes.size]
        if not filled:
            return cls()
        if len(filled) == 1:
            return filled[0]
        codes = np.concatenate([part.codes for part in filled])
        order = np.argsort(codes, kind="stable")
        ascending = codes[order]
        starts = np.flatnonzero(np.diff(ascending, prepend=ascending[0] - 1))
        counts = np.concatenate([part.counts for part in filled])[order]
        return cls(ascending[starts], np.add.reduceat(counts, starts))


def tables(parts: Sequence[BucketCounts], above: Ints) -> Floats:
    """[1 + E, m, K] counts by bucket of each part: all of them, and those beyond each edge.

    Parameters
    ----------
    parts : m of them.
    above : [E, m] for each of them the groups above which a count counts.

    >>> parts = [BucketCounts.of(np.array([0, 1]), np.array([3, 3])), BucketCounts.empty()]
    >>> tables(parts, np.array([[0, 0]]))[..., 3].tolist()
    [[2.0, 0.0], [1.0, 0.0]]
    """
    shape = (1 + len(above), len(parts), UNIT_BUCKETS)
    if not parts:
        return np.zeros(shape)
    sizes = [part.codes.size for part in parts]
    codes = np.concatenate([part.codes for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    places = len(parts) * UNIT_BUCKETS
    place = codes % UNIT_BUCKETS + np.arange(0, places, UNIT_BUCKETS).repeat(sizes)
    beyond = [np.where(codes >= edges.repeat(sizes), counts, 0) for edges in (above + 1) * UNIT_BUCKETS]
    found = [np.bincount(place, chosen, places) for chosen in (counts, *beyond)]
    return np.array(found, dtype=np.float64).reshape(shape)


def table(parts: Sequence[BucketCounts]) -> Floats:
    """[m, K] counts by bucket of each part."""
    whole: Floats = tables(parts, _NO_EDGES)[0]
    return whole


def packed(sizes: Ints, buckets: Bins | Ints, counts: Ints) -> UnitPairs:
    """Pairs as the bytes of a report, the counts no wider than the largest needs."""
    largest = int(counts.max(initial=1))
    width = next(width for width in _WIDTHS if largest <= np.iinfo(width).max)
    return UnitPairs(
        sizes.astype(np.uint8).tobytes(),
        buckets.astype(np.uint8).tobytes(),
        b"" if largest == 1 else counts.astype(width).tobytes(),
    )


def _unpacked(counts: bytes, pairs: int) -> Ints:
    if not counts:
        return np.ones(pairs, dtype=np.int64)
    width = len(counts) // max(pairs, 1)
    if width not in (1, 2, 4, 8) or len(counts) != width * pairs:
        raise ValueError(f"BucketCounts: counts are 1, 2, 4 or 8 bytes each, found {len(counts)} for {pairs} pairs")
    # Beyond 2⁶³ a count would turn negative, and is refused as one below 1.
    return np.frombuffer(counts, dtype=f"<u{width}").astype(np.int64)
