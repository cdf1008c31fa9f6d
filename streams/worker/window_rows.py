"""The rows of the windows table: one per window, version and segment, with what people ask of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from detectors.summaries.measure import Measure
from detectors.summaries.summary import Summary
from schemas.report import Cell


class MetricRow(msgspec.Struct, frozen=True):
    """One numeric metric of one row. Unknown is None."""

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class WindowRow(msgspec.Struct, frozen=True):
    """One window ``[start_ms, end_ms)`` of event time, one version, one segment."""

    start_ms: int
    end_ms: int
    version: str
    segment: str
    n: int
    errors: int
    error_rate: float | None
    metrics: dict[str, MetricRow]
    labels: dict[str, dict[str, int]]


def rows_of(cells: Iterable[Cell], *, start_ms: int, end_ms: int) -> list[WindowRow]:
    """Sum cells of one service by version and segment, in that order.

    Parameters
    ----------
    cells : of panes inside the window.
    start_ms, end_ms : the window, Unix ms.
    """
    groups: dict[tuple[str, str], list[Summary]] = {}
    for cell in cells:
        groups.setdefault((cell.version, cell.segment), []).append(Summary.of_cell(cell))
    return [
        _row(Summary.merge_all(parts), version=version, segment=segment, start_ms=start_ms, end_ms=end_ms)
        for (version, segment), parts in sorted(groups.items())
    ]


def _row(summary: Summary, *, version: str, segment: str, start_ms: int, end_ms: int) -> WindowRow:
    requests = summary.requests
    return WindowRow(
        start_ms=start_ms,
        end_ms=end_ms,
        version=version,
        segment=segment,
        n=requests.n,
        errors=requests.k,
        error_rate=requests.value,
        metrics={name: _metric(measure) for name, measure in summary.metrics.items()},
        labels={name: dict(counts.counts) for name, counts in summary.labels.items()},
    )


def _metric(measure: Measure) -> MetricRow:
    return MetricRow(
        n=measure.moments.n,
        mean=measure.moments.value,
        sd=measure.moments.sd,
        low=measure.low,
        high=measure.high,
        p50=measure.quantile(0.50),
        p90=measure.quantile(0.90),
        p95=measure.quantile(0.95),
        p99=measure.quantile(0.99),
    )
