"""What simulated requests of sticky users add to their cells: sums by bucket of units, and samples of units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Flags, Floats, Hashes, Ints
from detectors.summaries.log_histogram import bin_of
from schemas.report import Cell, UnitCell, UnitPairs, UnitSample
from schemas.unit_hash import UNITS_SAMPLED_MAX
from streams.ingest.unit_sums import UnitBytes, UnitSums

_NO_REQUESTS = UnitPairs(b"\0\0", b"", b"")


@dataclass(frozen=True, slots=True)
class Units:
    """The units of the requests of a chunk, and the route that dealt them.

    Parameters
    ----------
    bucket, hash : of each request's unit (:mod:`schemas.unit_hash`).
    routed : the splitter's bucket of each request's unit.
    epoch : of the route in force; -1 before there is one.
    """

    bucket: Ints
    hash: Hashes
    routed: Ints
    epoch: int


class UnitCells:
    """The parts by unit of cells that were made of groups of requests.

    Parameters
    ----------
    request : index of each request in its chunk.
    group : index of the cell that each of them belongs to.
    """

    def __init__(self, units: Units, request: Ints, group: Ints, cells: Sequence[Cell]) -> None:
        self._units, self._request, self._group, self._cells = units, request, group, cells
        self._bucket = units.bucket[request]
        self._sums = UnitSums()
        self._targets = 0

    def add_requests(self, failed: Flags) -> None:
        """Count requests, one flag each."""
        self._sums.add(self._target(), failed.astype(np.int64), self._bucket)

    def add_metric(self, values: Floats, *, histogram: bool) -> None:
        """Count and sum the values of the cells' next metric, one for each request."""
        target = self._target()
        bins = bin_of(values).astype(np.int64) if histogram else np.zeros(values.size, dtype=np.int64)
        self._sums.add(target, bins, self._bucket)
        self._sums.add_values(target, self._bucket, values)

    def add_label(self, codes: Ints, values: int) -> None:
        """Count the values of the cells' next label, one code below ``values`` for each request."""
        # A cell lists only the values that it has; a group is the place among them.
        there = np.zeros((len(self._cells), values), dtype=bool)
        there[self._group, codes] = True
        place = np.cumsum(there, axis=1) - 1
        self._sums.add(self._target(), place[self._group, codes], self._bucket)

    def fill(self) -> None:
        """Give every cell its part, in the order requests, metrics, labels."""
        found = self._sums.report(self._targets, bytes_max=np.inf)
        if found is None:
            return
        for at, cell in enumerate(self._cells):
            cell.units = _part(found, cell, at, len(self._cells))

    def sample(self, period: Ints) -> None:
        """Add the samples: of each period the units with the smallest hashes, in the cells of their first requests.

        Parameters
        ----------
        period : of each request, ascending; requests come in the order of the log.
        """
        hashes = self._units.hash[self._request]
        starts = np.flatnonzero(np.diff(period, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], period.size], strict=True):
            distinct, first = np.unique(hashes[start:end], return_index=True)
            rows = start + first[:UNITS_SAMPLED_MAX]
            holder = self._group[rows]
            for group in np.unique(holder).tolist():
                units = self._cells[group].units
                if units is not None:
                    units.sample = self._sampled(rows[holder == group], distinct[:UNITS_SAMPLED_MAX][holder == group])

    def _sampled(self, rows: Ints, hashes: Hashes) -> UnitSample:
        if self._units.epoch < 0:
            return UnitSample(hashes.astype("<u8").tobytes(), b"", b"")
        routed = self._units.routed[self._request[rows]]
        epoch = np.array([self._units.epoch], dtype="<i8")
        return UnitSample(hashes.astype("<u8").tobytes(), routed.astype("<i4").tobytes(), epoch.tobytes())

    def _target(self) -> Ints:
        """The next target of every request's cell."""
        target: Ints = self._group + self._targets
        self._targets += len(self._cells)
        return target


def _part(found: UnitBytes, cell: Cell, at: int, cells: int) -> UnitCell:
    kinds = len(cell.metrics) + len(cell.labels)
    # Cells of feedback have no requests, and then no target for them.
    first = 1 if cell.n else 0
    metrics = [
        found.metric(at + (first + place) * cells, _bins(metric.bins), metric.m2)
        for place, metric in enumerate(cell.metrics)
    ]
    labels = [
        found.pairs(at + (first + place) * cells, np.arange(len(label.counts)))
        for place, label in zip(range(len(cell.metrics), kinds), cell.labels, strict=True)
    ]
    requests = found.pairs(at, np.arange(2)) if first else None
    return UnitCell(requests or _NO_REQUESTS, metrics, labels)


def _bins(raw: bytes) -> Ints:
    """The bins of a metric, or the one group of a metric without a histogram."""
    return np.frombuffer(raw, dtype="<i4").astype(np.int64) if raw else np.zeros(1, dtype=np.int64)
