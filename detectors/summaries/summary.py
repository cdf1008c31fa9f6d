"""Summary: everything known of one arm (one version in one segment for one stretch of time)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from detectors.summaries.by_unit import ByUnit
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.scatter import Scatter
from schemas.report import Cell, LabelCell, MetricCell, ScatterCell

BASES_KEPT: Final = 2
"""Of scatters of several bases the newest so many are kept: beats around a change hold two."""


class Summary(msgspec.Struct, frozen=True):
    """Requests with errors, every numeric metric, every label. A commutative monoid up to rounding.

    Parameters
    ----------
    requests : requests and how many of them failed.
    metrics : metric name (``latency_ms``, ``values.tokens_out``, ``feedback.rating``) to its measure.
    labels : label name (``finish_reason``) to the counts of its values.
    units : what of all this came with a unit, by bucket; None when nothing did.
    scatters : number of a basis to the scatter of the events' vectors in it; the BASES_KEPT newest. Vectors of two
        bases have nothing to do with each other.

    >>> cell = Cell("chat", "v1", "eu", 7, n=10, errors=1, labels=[LabelCell("finish_reason", {"stop": 10})])
    >>> both = Summary.merge_all([Summary.of_cell(cell), Summary.of_cell(cell)])
    >>> both.requests, both.labels["finish_reason"].n
    (Rate(n=20, k=2), 20)
    >>> both.to_cell(service="chat", version="v1", segment="eu", pane=7).errors
    2
    """

    requests: Rate = Rate.empty()
    metrics: dict[str, Measure] = {}
    labels: dict[str, Counts] = {}
    units: ByUnit | None = None
    scatters: dict[int, Scatter] = {}

    @classmethod
    def empty(cls) -> Summary:
        """The identity: nothing seen."""
        return cls()

    @classmethod
    def of_cell(cls, cell: Cell) -> Summary:
        """From the wire.

        Raises
        ------
        ValueError : when a cell breaks an invariant of a summary.
        """
        return cls(
            Rate(cell.n, cell.errors),
            {metric.name: _measure(metric) for metric in cell.metrics if metric.n},
            {label.name: Counts(label.counts) for label in cell.labels if label.counts},
            ByUnit.of_cell(cell),
            {} if cell.scatter is None else {cell.scatter.basis: _scatter(cell.scatter)},
        )

    def to_cell(self, *, service: str, version: str, segment: str, pane: int) -> Cell:
        """Back to the wire, names in ascending order, without scatters: windows have no use for them."""
        cell = Cell(
            service,
            version,
            segment,
            pane,
            n=self.requests.n,
            errors=self.requests.k,
            metrics=[_metric_cell(name, measure) for name, measure in sorted(self.metrics.items())],
            labels=[LabelCell(name, dict(counts.counts)) for name, counts in sorted(self.labels.items())],
        )
        return cell if self.units is None else msgspec.structs.replace(cell, units=self.units.to_wire(cell))

    def merge(self, other: Summary) -> Summary:
        """The summary of the events of both."""
        return Summary.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[Summary]) -> Summary:
        """The summary of the events of all parts: each metric once, however many parts there are."""
        if len(parts) == 1:
            return parts[0]
        metrics: dict[str, list[Measure]] = {}
        labels: dict[str, list[Counts]] = {}
        units = [part.units for part in parts if part.units is not None]
        scatters: dict[int, list[Scatter]] = {}
        n = k = 0
        for part in parts:
            n += part.requests.n
            k += part.requests.k
            for name, measure in part.metrics.items():
                metrics.setdefault(name, []).append(measure)
            for name, counts in part.labels.items():
                labels.setdefault(name, []).append(counts)
            for basis, scatter in part.scatters.items():
                scatters.setdefault(basis, []).append(scatter)
        return cls(
            Rate(n, k),
            {name: Measure.merge_all(metrics[name]) for name in sorted(metrics)},
            {name: Counts.merge_all(labels[name]) for name in sorted(labels)},
            ByUnit.merge_all(units) if units else None,
            {basis: Scatter.merge_all(scatters[basis]) for basis in sorted(scatters)[-BASES_KEPT:]},
        )


def _measure(metric: MetricCell) -> Measure:
    histogram = LogHistogram.from_bytes(metric.bins, metric.counts)
    moments = Moments(metric.n, metric.mean, max(metric.m2, 0.0))
    return Measure(moments, histogram, low=metric.low, high=metric.high)


def _scatter(cell: ScatterCell) -> Scatter:
    return Scatter.from_bytes(cell.n, cell.mean, cell.s)


def _metric_cell(name: str, measure: Measure) -> MetricCell:
    bins, counts = measure.histogram.to_bytes()
    low = 0.0 if measure.low is None else measure.low
    high = 0.0 if measure.high is None else measure.high
    return MetricCell(
        name,
        n=measure.moments.n,
        mean=measure.moments.mean,
        m2=measure.moments.m2,
        low=low,
        high=high,
        bins=bins,
        counts=counts,
    )
