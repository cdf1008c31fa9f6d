"""Columns of units become entries in the sums of their slices: one sweep for each kind of entry of a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.summaries.moments import Moments
from streams.ingest.bounds import CellKey
from streams.ingest.sums import CellSums, SliceSums
from streams.ingest.unit_columns import UnitColumns


@dataclass(frozen=True, slots=True)
class UnitEntries:
    """What of a batch came with a unit.

    Parameters
    ----------
    columns : of a batch in which at least one event carries a unit.
    slice_of : for each event, the index of its slice in ``slices``.
    """

    columns: UnitColumns
    slice_of: Ints
    slices: Sequence[SliceSums]

    def requests(self, request: Flags, error: Flags, group: Ints, cells: list[CellSums]) -> None:
        """Count the requests, and sample their units; event i belongs to ``cells[group[i]]``."""
        event = np.flatnonzero(request & (self.columns.bucket >= 0))
        target = np.array([cell.at for cell in cells], dtype=np.int64)
        self.count(event, target[group[event]], error[event].astype(np.int64))
        keys = [cell.key for cell in cells]
        codes: dict[str, int] = {}
        service = np.array([codes.setdefault(key[0], len(codes)) for key in keys], dtype=np.int64)
        names = list(codes)
        for number, rows in _parts(self.slice_of[event] * len(names) + service[group[event]]):
            slice_no, code = divmod(number, len(names))
            self._sample(self.slices[slice_no], names[code], event[rows], keys, group)

    def _sample(self, sums: SliceSums, service: str, event: Ints, keys: list[CellKey], group: Ints) -> None:
        sums.sample_of(service).add(self.columns, event, keys, group)

    def count(self, event: Ints, target: Ints, group: Ints) -> None:
        """Count entries that belong to events, each in a group of a target."""
        bucket = self.columns.bucket[event]
        rows = np.flatnonzero(bucket >= 0)
        for number, chosen in _parts(self.slice_of[event[rows]]):
            at = rows[chosen]
            self.slices[number].units.add(target[at], group[at], bucket[at])

    def add_values(self, event: Ints, target: Ints, value: Floats) -> None:
        """Sum the values of entries up."""
        bucket = self.columns.bucket[event]
        rows = np.flatnonzero(bucket >= 0)
        for number, chosen in _parts(self.slice_of[event[rows]]):
            at = rows[chosen]
            self.slices[number].units.add_values(target[at], bucket[at], value[at])

    def moments(self, event: Ints, group: Ints, offset: Floats, level: Floats) -> list[Moments]:
        """Moments of the values of each group that came with a unit.

        Parameters
        ----------
        offset : of each value from the level of its group.
        level : of each group, in the metric's unit.
        """
        carried = (self.columns.bucket[event] >= 0).astype(np.float64)
        n = np.bincount(group, weights=carried, minlength=level.size)
        shift = np.bincount(group, weights=offset * carried, minlength=level.size) / np.maximum(n, 1.0)
        centred = (offset - shift[group]) * carried
        m2 = np.bincount(group, weights=centred * centred, minlength=level.size)
        rows = zip(n.astype(np.int64).tolist(), (level + shift).tolist(), m2.tolist(), strict=True)
        return [Moments(count, mean, squares) if count else Moments.empty() for count, mean, squares in rows]


def _parts(number: Ints) -> list[tuple[int, Ints]]:
    """Each number that occurs, and where, ascending."""
    if number.size == 0:
        return []
    largest = int(number.max())
    if largest == int(number.min()):
        return [(largest, np.arange(number.size))]
    # Sixteen bits are sorted in linear time, and a batch has few slices and services.
    order = np.argsort(number.astype(np.uint16) if largest < 1 << 16 else number, kind="stable")
    ascending = number[order]
    starts = np.flatnonzero(np.diff(ascending, prepend=-1))
    return list(zip(ascending[starts].tolist(), np.split(order, starts[1:]), strict=True))
