"""Columns of many packs, one behind the other, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.arrays import Flags, Floats, Ints
from schemas.packed import PACK_EVENTS_MAX, Pack
from streams.ingest.pack_shape import ALL_EVENTS

_INTEGERS: Final[dict[int, np.dtype[Any]]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_FLOATS: Final[dict[int, np.dtype[Any]]] = {width: np.dtype(f"<f{width}") for width in (4, 8)}

NO_CODES: Final = bytes(PACK_EVENTS_MAX)
"""The codes of events that all have the first name."""

Integers = npt.NDArray[Any]
"""Unsigned, as narrow as the packs have them."""


@dataclass(slots=True)
class Entries:
    """Columns of one kind.

    Parameters
    ----------
    data, at : the bytes of each column, and of the indexes of its events.
    count : entries of each column, >= 1.
    pack : index of the pack of each column, ascending.
    code : of the metric of each column.
    sparse : whether a column has less than all events of its pack.
    """

    data: list[bytes] = field(default_factory=list)
    at: list[bytes] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    pack: list[int] = field(default_factory=list)
    code: list[int] = field(default_factory=list)
    sparse: bool = False

    def add(self, index: int, pack: Pack, data: bytes, at: bytes, *, code: int = 0) -> None:
        """Add a column of the pack with this index."""
        self.data.append(data)
        self.at.append(at or ALL_EVENTS[: 2 * pack.n])
        self.count.append(len(at) // 2 or pack.n)
        self.pack.append(index)
        self.code.append(code)
        self.sparse |= bool(at)

    def integers(self) -> Integers:
        return integers(self.data, np.array(self.count, dtype=np.int64))

    def floats(self) -> Floats:
        return _gathered(self.data, np.array(self.count, dtype=np.int64), _FLOATS).astype(np.float64, copy=False)

    def spread(self, of_column: Sequence[int]) -> Ints:
        """A number of each column, for each entry."""
        return np.repeat(np.array(of_column, dtype=np.int64), self.count)

    def bad(self, entry_bad: Flags) -> Flags:
        """The columns that have a bad entry."""
        return highest(entry_bad, starts_of(self.count)).astype(bool)

    def disordered(self, n: Ints) -> Flags:
        """The columns whose indexes do not ascend, or go beyond the ``n`` events of their pack."""
        if not self.sparse:
            return np.zeros(len(self.data), dtype=bool)
        at, starts = self._at(), starts_of(self.count)
        falls = np.diff(at.astype(np.int64), prepend=-1) <= 0
        falls[starts] = False
        return self.bad(falls) | (highest(at, starts) >= n[self.pack])

    def events(self, starts: Ints) -> Ints:
        """The event of each entry, among those of all packs, of which each one's begin at ``starts``."""
        return self._at() + np.repeat(starts[self.pack], self.count)

    def _at(self) -> Integers:
        return np.frombuffer(b"".join(self.at), dtype="<u2")


def starts_of(count: Ints | Sequence[int]) -> Ints:
    """Where each of some columns begins, which stand one behind the other."""
    ends = np.cumsum(count, dtype=np.int64)
    return ends - count


def highest(numbers: Integers, starts: Ints) -> Ints:
    """The largest number of each column."""
    return np.maximum.reduceat(numbers, starts).astype(np.int64) if starts.size else starts


def lowest(numbers: Integers, starts: Ints) -> Ints:
    """The smallest number of each column."""
    return np.minimum.reduceat(numbers, starts).astype(np.int64) if starts.size else starts


def integers(data: Sequence[bytes], count: Ints) -> Integers:
    """Unsigned integers of columns with so many entries each; the width of a column follows from its length."""
    return _gathered(data, count, _INTEGERS)


def coded(codes: Integers, count: Ints, tables: Sequence[Sequence[int]]) -> tuple[Ints, Flags]:
    """What the codes of columns stand for.

    Parameters
    ----------
    codes : of all columns.
    count : entries of each column.
    tables : for each column, what its codes 0, 1, 2, ... stand for.

    Returns
    -------
    One number for each code, meaningless when a column is bad; and the columns with a code outside their tables.
    """
    sizes = np.fromiter(map(len, tables), np.int64, len(tables))
    bad = highest(codes, starts_of(count)) >= sizes
    if bad.any() or not tables:
        return np.zeros(codes.size, dtype=np.int64), bad
    if all(one == tables[0] for one in tables):
        return np.array(tables[0], dtype=np.int64)[codes], bad
    table = np.fromiter(chain.from_iterable(tables), np.int64, int(sizes.sum()))
    return table[codes + np.repeat(starts_of(sizes), count)], bad


def _gathered(data: Sequence[bytes], count: Ints, kinds: dict[int, np.dtype[Any]]) -> npt.NDArray[Any]:
    if not data:
        return np.empty(0, dtype=next(iter(kinds.values())))
    width = np.fromiter(map(len, data), np.int64, len(data)) // count
    widths = np.unique(width).tolist()
    if len(widths) == 1:
        return np.frombuffer(b"".join(data), dtype=kinds[widths[0]])
    found = np.empty(int(count.sum()), dtype=kinds[widths[-1]])
    width_of = np.repeat(width, count)
    for each in widths:
        part = b"".join([one for one, its in zip(data, width.tolist(), strict=True) if its == each])
        found[width_of == each] = np.frombuffer(part, dtype=kinds[each])
    return found
