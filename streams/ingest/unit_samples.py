"""A bounded, coordinated sample of the units of each service in one slice: those with the smallest hashes."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.arrays import Hashes, Ints
from schemas.report import UnitSample
from schemas.unit_hash import UNITS_SAMPLED_MAX
from serinus.splitter import BUCKETS
from streams.ingest.bounds import CellKey
from streams.ingest.unit_columns import UnitColumns

UNITS_REPORTED_MAX: Final = 16_384
"""Units that a slice reports of all its services together; twenty bytes each."""

_NARROW: Final = 1024
_EPOCH_MAX: Final = (1 << 63) - 1

_Seen = tuple[CellKey, int, int]
"""The cell of a unit's first request, and the epoch and the splitter's bucket that it named, or -1."""


class UnitsOfService:
    """The units of one service with the smallest hashes so far, by hash; the first request of each stands for it."""

    __slots__ = ("_largest", "_seen")

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._largest = (1 << 64) - 1

    def add(self, units: UnitColumns, events: Ints, cells: list[CellKey], cell: Ints) -> None:
        """Take requests in log order.

        Parameters
        ----------
        events : indexes of requests that carried a unit, ascending.
        cells, cell : the cell of each event is ``cells[cell[event]]``.
        """
        hashes = units.hash[events]
        if len(self._seen) == UNITS_SAMPLED_MAX:
            near = hashes < self._largest
            events, hashes = events[near], hashes[near]
        for at, number in _first_of_smallest(hashes):
            if number not in self._seen:
                event = int(events[at])
                self._seen[number] = (cells[int(cell[event])], *_known(*units.route_of(event)))
        if len(self._seen) >= UNITS_SAMPLED_MAX:
            kept = sorted(self._seen)[:UNITS_SAMPLED_MAX]
            self._seen = {number: self._seen[number] for number in kept}
            self._largest = kept[-1]

    def by_cell(self, limit: int) -> dict[CellKey, UnitSample]:
        """The smallest ``limit`` of them, in the cells of their first requests."""
        cells: dict[CellKey, list[tuple[int, int, int]]] = {}
        for number in sorted(self._seen)[:limit]:
            key, epoch, bucket = self._seen[number]
            cells.setdefault(key, []).append((number, epoch, bucket))
        return {key: _sample(rows) for key, rows in cells.items()}


def _first_of_smallest(hashes: Hashes) -> list[tuple[int, int]]:
    """Where each of the smallest distinct hashes stands first, at least UNITS_SAMPLED_MAX of them if there are."""
    if hashes.size > 2 * _NARROW:
        near = np.flatnonzero(hashes <= np.partition(hashes, _NARROW)[_NARROW])
        distinct, first = np.unique(hashes[near], return_index=True)
        if distinct.size >= UNITS_SAMPLED_MAX:
            return _pairs(near[first], distinct)
    distinct, first = np.unique(hashes, return_index=True)
    return _pairs(first, distinct)


def _pairs(first: Ints, distinct: Hashes) -> list[tuple[int, int]]:
    return list(zip(first[:UNITS_SAMPLED_MAX].tolist(), distinct[:UNITS_SAMPLED_MAX].tolist(), strict=True))


def _known(epoch: int | None, bucket: int | None) -> tuple[int, int]:
    """What the event named, with -1 for nothing or nonsense."""
    return (
        epoch if epoch is not None and 0 <= epoch <= _EPOCH_MAX else -1,
        bucket if bucket is not None and 0 <= bucket < BUCKETS else -1,
    )


def _sample(rows: list[tuple[int, int, int]]) -> UnitSample:
    hashes, epochs, buckets = zip(*rows, strict=True)
    same = len(set(epochs)) == 1
    told = b"" if same and epochs[0] == -1 else np.array(epochs[:1] if same else epochs, dtype="<i8").tobytes()
    known = any(bucket >= 0 for bucket in buckets)
    return UnitSample(
        np.array(hashes, dtype="<u8").tobytes(), np.array(buckets, dtype="<i4").tobytes() if known else b"", told
    )
