"""The running sums of one slice, and how they are written into a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.summaries.moments import Moments
from schemas.basis import Basis
from schemas.event import OTHER
from schemas.report import Cell, LabelCell, MetricCell, UnitCell, UnitPairs, UnitSample
from schemas.unit_hash import UNITS_SAMPLED_MAX
from streams.ingest.bin_sums import BinSums
from streams.ingest.bounds import BINS_MAX, UNIT_BYTES_MAX, Admission, CellKey
from streams.ingest.scatter_sums import ScatterSums
from streams.ingest.unit_samples import UNITS_REPORTED_MAX, UnitsOfService
from streams.ingest.unit_sums import UnitBytes, UnitSums

_ANSWERED_FAILED: Final = np.arange(2)
_NO_REQUESTS: Final = UnitPairs(b"\0\0", b"", b"")


class MetricSums:
    """One metric of one cell: moments merged by Chan's rule, and extremes.

    ``at`` is its number among the targets of :class:`streams.ingest.bin_sums.BinSums` and
    :class:`streams.ingest.unit_sums.UnitSums`; ``units`` are the moments of the values that came with a unit.
    """

    __slots__ = ("at", "high", "low", "m2", "mean", "n", "units")

    def __init__(self, at: int) -> None:
        self.at = at
        self.units = Moments.empty()
        self.n = 0
        self.mean = 0.0
        self.m2 = 0.0
        self.low = float("inf")
        self.high = float("-inf")

    def merge(self, n: int, mean: float, m2: float, low: float, high: float) -> None:
        """Add the moments of a batch. Source: Chan, Golub and LeVeque (1979), equation 1.5."""
        total = self.n + n
        delta = mean - self.mean
        self.mean += delta * (n / total)
        self.m2 += m2 + delta * delta * (self.n * (n / total))
        self.n = total
        self.low = min(self.low, low)
        self.high = max(self.high, high)

    def cell(self, name: str, bins: tuple[bytes, bytes]) -> MetricCell:
        return MetricCell(name, self.n, self.mean, self.m2, self.low, self.high, *bins)


class CellSums:
    """One service, version, segment and pane; ``at`` and ``labels_at`` number it and its labels as targets."""

    __slots__ = ("at", "errors", "key", "labels", "labels_at", "metrics", "n", "scatter")

    def __init__(self, key: CellKey, at: int) -> None:
        self.key = key
        self.at = at
        self.labels_at: dict[str, int] = {}
        self.n = 0
        self.errors = 0
        self.metrics: dict[str, MetricSums] = {}
        self.labels: dict[str, dict[str, int]] = {}
        self.scatter: ScatterSums | None = None

    def cell(self, bins: Sequence[tuple[bytes, bytes]]) -> Cell:
        """The cell as it is sent; ``bins`` of all targets."""
        return Cell(
            *self.key,
            self.n,
            self.errors,
            [sums.cell(name, bins[sums.at]) for name, sums in self.metrics.items()],
            [LabelCell(name, dict(counts)) for name, counts in self.labels.items()],
            scatter=None if self.scatter is None else self.scatter.cell(),
        )

    def units(self, cell: Cell, found: UnitBytes, sample: UnitSample | None) -> UnitCell | None:
        """What of the cell came with a unit."""
        requests = found.pairs(self.at, _ANSWERED_FAILED)
        metrics = [
            found.metric(sums.at, np.frombuffer(metric.bins, dtype="<i4"), sums.units.m2)
            for sums, metric in zip(self.metrics.values(), cell.metrics, strict=True)
        ]
        labels = [found.pairs(self.labels_at[label.name], np.arange(len(label.counts))) for label in cell.labels]
        if requests is None and not any(metrics) and not any(labels):
            return None
        return UnitCell(requests or _NO_REQUESTS, metrics, labels, sample)


class SliceSums:
    """All cells of one slice within its bounds. What it holds depends on the log alone, not on the batches.

    Parameters
    ----------
    bases : by service, those in force when the slice was opened; they stay for all of it.
    services : the only ones that are counted by their names, or none for any.
    """

    __slots__ = ("_admission", "_samples", "_targets", "bases", "bins", "cells", "folded", "units")

    def __init__(self, bases: Mapping[str, Basis] | None = None, services: frozenset[str] = frozenset()) -> None:
        self.bases = bases or {}
        self._admission = Admission(services)
        self._targets = 0
        self._samples: dict[str, UnitsOfService] = {}
        self.bins = BinSums(BINS_MAX)
        self.units = UnitSums()
        self.cells: dict[CellKey, CellSums] = {}
        self.folded: Counter[str] = Counter()

    def cell_of(self, service: str, version: str, segment: str, pane: int, events: int) -> CellSums:
        """The cell that counts events of these names; ``events`` of them are about to be added."""
        key, folded = self._admission.cell(service, version, segment, pane)
        if folded:
            self.folded[key[0]] += folded * events
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = CellSums(key, self._target())
        return cell

    def metric_of(self, cell: CellSums, name: str, values: int) -> MetricSums:
        """The sums that take the values of a metric of a cell; ``values`` of them are about to be added."""
        sums = cell.metrics.get(name)
        if sums is not None:
            return sums
        service = cell.key[0]
        kept, folded = self._admission.metric(service, name)
        if folded:
            self.folded[service] += values
        sums = cell.metrics.get(kept)
        if sums is None:
            sums = cell.metrics[kept] = MetricSums(self._target())
        return sums

    def add_label(self, cell: CellSums, name: str, value: str, count: int) -> tuple[str, str]:
        """Count a label of a cell; returns the name and the value under which it is kept."""
        counts = cell.labels.get(name)
        if counts is not None and value in counts:
            counts[value] += count
            return name, value
        service = cell.key[0]
        kept_name, kept_value, folded = self._admission.label(service, name, value)
        counts = cell.labels.get(kept_name)
        if counts is None or kept_value not in counts:
            if kept_name != OTHER and not self._admission.pay_label(kept_name, kept_value):
                kept_name, kept_value = OTHER, OTHER
                folded = (name != OTHER) + (value != OTHER)
            if kept_name not in cell.labels:
                cell.labels[kept_name] = {}
                cell.labels_at[kept_name] = self._target()
            counts = cell.labels[kept_name]
        counts[kept_value] = counts.get(kept_value, 0) + count
        if folded:
            self.folded[service] += folded * count
        return kept_name, kept_value

    def add_scatter(self, cell: CellSums, basis: int, n: int, sums: tuple[Floats, Floats]) -> None:
        """Add the vectors of a cell's events: their mean, and the upper triangle of their co-moments."""
        if cell.scatter is None:
            if not self._admission.pay_scatter(sums[0].size):
                self.folded[cell.key[0]] += n
                return
            cell.scatter = ScatterSums(basis, sums[0].size)
        cell.scatter.merge(n, *sums)

    def add_scarce_bin(self, cell: CellSums, sums: MetricSums, index: int, count: int) -> None:
        """Count values of a bin of a metric in the order of the log, once not all bins have room."""
        if not self.bins.add_scarce(sums.at, index, count):
            self.folded[cell.key[0]] += count

    def sample_of(self, service: str) -> UnitsOfService:
        """The sample of the units of an admitted service."""
        sample = self._samples.get(service)
        if sample is None:
            sample = self._samples[service] = UnitsOfService()
        return sample

    def report(self) -> Iterator[Cell]:
        """The cells as they are sent."""
        bins = self.bins.report(self._targets)
        found = self.units.report(self._targets, bytes_max=UNIT_BYTES_MAX)
        limit = min(UNITS_SAMPLED_MAX, UNITS_REPORTED_MAX // max(1, len(self._samples)))
        samples = {key: one for units in self._samples.values() for key, one in units.by_cell(limit).items()}
        for key, sums in self.cells.items():
            cell = sums.cell(bins)
            if found is not None:
                cell = msgspec.structs.replace(cell, units=sums.units(cell, found, samples.get(key)))
            yield cell

    def _target(self) -> int:
        self._targets += 1
        return self._targets - 1
