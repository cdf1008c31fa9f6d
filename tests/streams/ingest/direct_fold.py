"""An independent fold of events, one by one in plain Python: what the columns must agree with."""

from __future__ import annotations

from collections import Counter
from math import fsum
from typing import Any

import numpy as np

from detectors.summaries.log_histogram import bin_of
from schemas.event import InferenceEvent
from schemas.report import PANE_MS, Cell, Report

Key = tuple[str, str, str, int]


def direct(events: list[InferenceEvent]) -> dict[Key, dict[str, Any]]:
    """Per (service, version, segment, pane): n, errors, numbers by metric, labels."""
    cells: dict[Key, dict[str, Any]] = {}
    for event in events:
        key = (event.service, event.version, event.segment, event.ts_ms // PANE_MS)
        cell = cells.setdefault(key, {"n": 0, "errors": 0, "metrics": {}, "labels": {}})
        request = event.kind == "request"
        cell["n"] += request
        cell["errors"] += request and event.error
        numbers = [] if event.latency_ms is None else [("" if request else "feedback.", "latency_ms", event.latency_ms)]
        kind = "values." if request else "feedback."
        numbers += [(kind, name, value) for name, value in (event.values or {}).items()]
        for prefix, name, value in numbers:
            cell["metrics"].setdefault(prefix + name, []).append(value)
        for name, category in (event.labels or {}).items():
            cell["labels"].setdefault(("" if request else "feedback.") + name, Counter())[category] += 1
    return cells


def assert_cells(cells: list[Cell], expected: dict[Key, dict[str, Any]]) -> None:
    """Counts, labels and bins agree exactly, moments to rounding."""
    assert {(one.service, one.version, one.segment, one.pane) for one in cells} == set(expected)
    assert len(cells) == len(expected)
    for cell in cells:
        want = expected[cell.service, cell.version, cell.segment, cell.pane]
        assert (cell.n, cell.errors) == (want["n"], want["errors"])
        assert {one.name: one.counts for one in cell.labels} == want["labels"]
        assert {one.name for one in cell.metrics} == set(want["metrics"])
        for metric in cell.metrics:
            values = want["metrics"][metric.name]
            scale = max(map(abs, values)) or 1.0
            mean = fsum(values) / len(values)
            assert metric.n == len(values)
            assert (metric.low, metric.high) == (min(values), max(values))
            assert abs(metric.mean - mean) <= 1e-12 * scale
            m2 = fsum((value - mean) ** 2 for value in values)
            assert abs(metric.m2 - m2) <= 1e-11 * scale * scale * len(values)
            assert histogram(metric.bins, metric.counts) == Counter(bin_of(np.array(values)).tolist())


def histogram(bins: bytes, counts: bytes) -> Counter[int]:
    """Counts by bin, of the bytes of a cell; bins must ascend."""
    indexes = np.frombuffer(bins, dtype="<i4").tolist()
    assert indexes == sorted(set(indexes))
    return Counter(dict(zip(indexes, np.frombuffer(counts, dtype="<i8").tolist(), strict=True)))


def exact_part(report: Report) -> Any:
    """What must be equal to the unit, whatever the batches were."""
    return (
        (report.topic_id, report.source, report.slice_no, report.first_offset, report.through_offset),
        (report.newest_ms, report.folded),
        {
            (one.service, one.version, one.segment, one.pane): (
                one.n,
                one.errors,
                {each.name: (each.n, each.low, each.high, each.bins, each.counts) for each in one.metrics},
                {each.name: each.counts for each in one.labels},
            )
            for one in report.cells
        },
    )
