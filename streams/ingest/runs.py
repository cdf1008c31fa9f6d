"""Grouping of whole columns by small keys: in a table where keys are dense, by sorting where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from detectors.arrays import Floats, Ints

_DENSE_MIN: Final = 1 << 15
_DENSE_PER_ENTRY: Final = 4
_NARROW_MAX: Final = 1 << 16
"""Keys of sixteen bits are sorted in linear time."""

Numbers = TypeVar("Numbers", Ints, Floats)


@dataclass(frozen=True, slots=True)
class Distinct:
    """Distinct keys, ascending; the index of the first entry of each; and for each entry the position of its key."""

    keys: Ints
    first: Ints
    inverse: Ints

    def __len__(self) -> int:
        return self.keys.size


def distinct(key: Ints, size: int) -> Distinct:
    """Group a column of keys within 0..size-1.

    A small range is counted in a table, in linear time; a large one is sorted.
    """
    if _is_sparse(key, size):
        keys, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return Distinct(keys, first, inverse)
    table = np.full(size, -1, dtype=np.int64)
    # Of several writes to one place the last one stands, so writing backwards leaves the first.
    table[key[::-1]] = np.arange(key.size - 1, -1, -1, dtype=np.int64)
    keys = np.flatnonzero(table >= 0)
    first = table[keys]
    table[keys] = np.arange(keys.size, dtype=np.int64)
    return Distinct(keys, first, table[key])


def counted(key: Ints, size: int) -> tuple[Ints, Ints]:
    """The distinct keys of a column within 0..size-1, ascending, and how often each occurs."""
    if _is_sparse(key, size):
        keys, counts = np.unique(key, return_counts=True)
        return keys, counts
    table = np.bincount(key, minlength=1)
    keys = np.flatnonzero(table)
    return keys, table[keys]


@dataclass(frozen=True, slots=True)
class Runs:
    """A column in the order of its keys, and for the same key in its own order: each key is a run of entries.

    Parameters
    ----------
    keys : distinct, ascending.
    order : the entry at each place.
    starts, n : where each run begins, and how long it is.
    """

    keys: Ints
    order: Ints
    starts: Ints
    n: Ints

    def __len__(self) -> int:
        return self.keys.size

    @property
    def first(self) -> Ints:
        """The first entry of each run."""
        return self.order[self.starts]

    def spread(self, of_run: Numbers) -> Numbers:
        """A number of each run, at each place."""
        return np.repeat(of_run, self.n)

    def inverse(self) -> Ints:
        """The run of each entry."""
        found = np.empty(self.order.size, dtype=np.int64)
        found[self.order] = self.spread(np.arange(len(self)))
        return found


def runs_of(key: Ints, size: int) -> Runs:
    """Group a column of keys within 0..size-1."""
    if size <= _NARROW_MAX:
        keys, n = counted(key, size)
        return Runs(keys, _stable_order(key, size), np.cumsum(n) - n, n)
    found = distinct(key, size)
    n = np.bincount(found.inverse)
    return Runs(found.keys, _stable_order(found.inverse, len(found)), np.cumsum(n) - n, n)


def _stable_order(key: Ints, size: int) -> Ints:
    return np.argsort(key.astype(np.uint16) if size <= _NARROW_MAX else key, kind="stable")


def _is_sparse(key: Ints, size: int) -> bool:
    return size > max(_DENSE_MIN, _DENSE_PER_ENTRY * key.size)
