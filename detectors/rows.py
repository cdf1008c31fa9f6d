"""Rows of a gate's arrays: each group of them has a total, then its segments.

A worker keeps one group, one release with one canary: row 0 is the total and rows 1, 2, … are its segments. Many
releases of one plan can be judged side by side in the same arrays, a group for each: then group g owns the rows from
g × stride on, the first of them its total.

A batch of one release has a handful of rows: there lists are five times as fast as numpy, and ``take`` is twice as fast
as an index.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints

Numbers = TypeVar("Numbers", Floats, Ints)

_REMEMBERED_MAX: Final = 512
"""Rows of groups whose place is remembered: those of one release, and not of a fleet of releases."""

_TOTAL: Final = np.zeros(1, dtype=np.int64)


class Places(msgspec.Struct, frozen=True, eq=False):
    """Rows of arrays that are read and written.

    Parameters
    ----------
    where : int64 [k] the rows.
    height : how many rows an array needs at least to hold them.
    whole : of so many rows these are all, and in order, so that they need no index; -1 when no array is like that.
    """

    where: Ints
    height: int
    whole: int

    def plus(self, known: Floats, gain: Floats) -> Floats:
        """[R, …] a running sum of all rows, with a gain [k, …] of these."""
        if len(known) == self.whole:
            return known + gain
        return self.replaced(known, self.taken(known) + gain)

    def taken(self, known: Numbers) -> Numbers:
        """[k, …] what is known of these rows, of [R, …] of all; not to be changed."""
        return known if len(known) == self.whole else known.take(self.where, axis=0)

    def replaced(self, known: Numbers, new: Numbers) -> Numbers:
        """[R, …] what is known of all rows, with something new of these."""
        if len(known) == self.whole:
            return new
        after = known.copy()
        after[self.where] = new
        return after


class Placed(Places, frozen=True, eq=False):
    """Where the values of some segments go: into the totals of their groups, and into rows of their own.

    Parameters
    ----------
    where : int64 [t + m] the t totals, then the m segments' rows.
    group : for each segment the index of its group among the t.
    starts : where each group begins among the segments; None when there is one group.
    totals : [t] where the totals go in arrays that have one row for each group.
    """

    group: Ints | int
    starts: Ints | None
    totals: Places

    def summed(self, x: Floats) -> Floats:
        """[t, …] of each group, from [m, …] of the segments."""
        if self.starts is not None:
            return np.add.reduceat(x, self.starts, axis=0)
        sums: Floats = np.add.reduce(x, axis=0, keepdims=True)
        return sums

    def with_sums(self, x: Floats) -> Floats:
        """[t + m, …] the groups' sums, then what they are sums of: the order of ``where``."""
        return np.concatenate([self.summed(x), x])

    def added(self, x: Floats, *sums: Floats) -> tuple[Floats, ...]:
        """Running sums by row [R, …], each with the values of the segments [m, …] and their groups' sums added."""
        gain = self.with_sums(x)
        return tuple([self.plus(known, gain) for known in sums])


def placed(rows: Ints, stride: int | None = None) -> Placed:
    """The place of each segment.

    Parameters
    ----------
    rows : int64 [m], m >= 1, of segments: no totals. Ascending when there are several groups.
    stride : rows of a group; None when all rows are of one.

    Raises
    ------
    ValueError : when rows of one group repeat, or one is the total.

    >>> two = placed(np.array([1, 2, 4]), stride=3)
    >>> two.where.tolist(), two.with_sums(np.array([1.0, 2.0, 4.0])).tolist()
    ([0, 3, 1, 2, 4], [3.0, 4.0, 1.0, 2.0, 4.0])
    """
    if rows.size > _REMEMBERED_MAX and stride is not None:
        return _of_groups(rows, stride)
    return _remembered(rows.astype(np.int64, copy=False).tobytes(), stride)


@lru_cache(maxsize=1024)
def _remembered(rows: bytes, stride: int | None) -> Placed:
    """Which segments close together hardly changes, and a beat asks for their place at every sum."""
    segments = np.frombuffer(rows, dtype=np.int64)
    return _of_one_group(segments) if stride is None else _of_groups(segments, stride)


def _of_groups(rows: Ints, stride: int) -> Placed:
    totals = rows - rows % stride
    first = np.diff(totals, prepend=-1) > 0
    starts = np.flatnonzero(first)
    where, groups = np.concatenate([totals[starts], rows]), totals[starts] // stride
    where.flags.writeable = groups.flags.writeable = False
    number, height = int(groups[-1]) + 1, max(rows.tolist()) + 1
    of_totals = Places(groups, number, number if groups.size == number else -1)
    return Placed(where, height, -1, np.cumsum(first) - 1, starts, of_totals)


def _of_one_group(rows: Ints) -> Placed:
    where = np.concatenate([_TOTAL, rows])
    where.flags.writeable = False
    total, *named = where.tolist()
    if min(named) <= total or len(set(named)) != len(named):
        raise ValueError(f"a batch has distinct rows of segments, each >= 1, found {named}")
    height = max(named) + 1
    whole = height if named == list(range(1, height)) else -1
    return Placed(where, height, whole, 0, None, Places(_TOTAL, 1, 1))


def height_of(rows: Ints) -> int:
    """How many rows an array needs at least to hold these and the total: 1 when there are none."""
    return max(rows.tolist(), default=0) + 1


def check_rows(rows: Ints, stride: int | None = None) -> None:
    """Refuse rows that repeat, that are totals, or that are out of order where groups are.

    Raises
    ------
    ValueError : with the rows that were found.
    """
    if stride is not None:
        if stride < 2 or rows.ndim != 1 or bool((rows % stride < 1).any() or (np.diff(rows, prepend=0) < 1).any()):
            raise ValueError("a batch of several groups has ascending rows of segments, none of them a total")
        return
    if rows.ndim != 1:
        raise ValueError(f"a batch has a list of rows, found {rows.ndim} dimensions")
    if rows.size:
        placed(rows)
