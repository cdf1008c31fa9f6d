"""Columns of many packs, one behind the other, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.arrays import Flags, Floats, Ints
from schemas.packed import PACK_EVENTS_MAX
from streams.ingest.pack_shape import ALL_EVENTS

_INTEGERS: Final[dict[int, np.dtype[Any]]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_FLOATS: Final[dict[int, np.dtype[Any]]] = {width: np.dtype(f"<f{width}") for width in (4, 8)}

NO_CODES: Final = bytes(PACK_EVENTS_MAX)
"""The codes of events that all have the first name."""

Integers = npt.NDArray[Any]
"""Unsigned, as narrow as the packs have them."""


Column = tuple[int, int, bytes, bytes, int]
"""One column of a pack: the pack's index, its number of events, the data, the indexes of the events, and a code."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Columns of one kind.

    Parameters
    ----------
    pack : index of the pack of each column, ascending.
    data, at : the bytes of each column, and of the indexes of its events; none for all of them.
    count : entries of each column, >= 1.
    code : of the metric of each column.
    sparse : whether a column has less than all events of its pack.
    """

    pack: Sequence[int]
    data: Sequence[bytes]
    at: Sequence[bytes]
    count: Ints
    code: Sequence[int]
    sparse: bool

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Entries:
        if not columns:
            return cls((), (), (), np.zeros(0, dtype=np.int64), (), sparse=False)
        pack, n, data, at, code = zip(*columns, strict=True)
        if not any(at):
            return cls(pack, data, at, np.array(n, dtype=np.int64), code, sparse=False)
        count = [len(bytes_at) // 2 or events for bytes_at, events in zip(at, n, strict=True)]
        at = tuple(bytes_at or ALL_EVENTS[: 2 * events] for bytes_at, events in zip(at, n, strict=True))
        return cls(pack, data, at, np.array(count, dtype=np.int64), code, sparse=True)

    def integers(self) -> Integers:
        return integers(self.data, self.count)

    def floats(self) -> Floats:
        return _gathered(self.data, self.count, _FLOATS).astype(np.float64, copy=False)

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
        return self.bad(falls) | (highest(at, starts) >= n[self._packs()])

    def events(self, starts: Ints) -> Ints:
        """The event of each entry, among those of all packs, of which each one's begin at ``starts``."""
        first = starts[self._packs()]
        if self.sparse:
            return self._at() + np.repeat(first, self.count)
        return np.arange(int(self.count.sum())) + np.repeat(first - starts_of(self.count), self.count)

    def _at(self) -> Integers:
        return np.frombuffer(b"".join(self.at), dtype="<u2")

    def _packs(self) -> Ints:
        return np.array(self.pack, dtype=np.int64)


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
    widths = {len(one) // entries for one, entries in zip(data, count.tolist(), strict=True)}
    if len(widths) == 1:
        return np.frombuffer(b"".join(data), dtype=kinds[widths.pop()])
    # A signalling NaN, which only a broken producer sends, warns when it is widened; it is refused as any NaN is.
    with np.errstate(invalid="ignore"):
        return np.concatenate(
            [np.frombuffer(one, kinds[len(one) // entries]) for one, entries in zip(data, count.tolist(), strict=True)]
        )
