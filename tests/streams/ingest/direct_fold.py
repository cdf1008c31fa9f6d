"""An independent fold of events, one by one in plain Python: what the columns must agree with."""

from __future__ import annotations

from collections import Counter
from math import fsum
from typing import Any

import numpy as np

from detectors.summaries.bucket_counts import BucketCounts
from detectors.summaries.by_unit import ByUnit, counts_and_sums
from detectors.summaries.log_histogram import bin_of
from detectors.units_seen import UnitsSeen
from schemas.event import InferenceEvent
from schemas.report import PANE_MS, Cell, Report
from schemas.unit_hash import UNIT_BUCKETS, UNITS_SAMPLED_MAX, unit_bucket, unit_hash

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
        categories = [(("" if request else "feedback.") + name, value) for name, value in (event.labels or {}).items()]
        for name, category in categories:
            cell["labels"].setdefault(name, Counter())[category] += 1
        if event.unit and (request or numbers or categories):
            _count_by_unit(cell, event, [(prefix + name, value) for prefix, name, value in numbers], categories)
    return cells


def _count_by_unit(
    cell: dict[str, Any], event: InferenceEvent, numbers: list[tuple[str, float]], categories: list[tuple[str, str]]
) -> None:
    bucket = unit_bucket(event.unit or "")
    counts = cell.setdefault("units", Counter())
    if event.kind == "request":
        counts["requests", int(event.error), bucket] += 1
    for name, value in numbers:
        counts[name, int(bin_of(np.array([value]))[0]), bucket] += 1
        cell.setdefault("sums", {}).setdefault((name, bucket), []).append(value)
    for name, category in categories:
        counts["labels." + name, category, bucket] += 1


def by_unit(cell: Cell) -> Counter[Any]:
    """The counts by unit of a cell, as the direct fold has them."""
    units = ByUnit.of_cell(cell) or ByUnit.empty()
    found: Counter[Any] = Counter()
    parts: list[tuple[str, Any, BucketCounts]] = [("requests", None, units.requests)]
    parts += [(name, None, measure.pairs) for name, measure in units.metrics.items()]
    parts += [
        ("labels." + name, value, counts) for name, kept in units.labels.items() for value, counts in kept.items()
    ]
    for name, value, counts in parts:
        for code, count in zip(counts.codes.tolist(), counts.counts.tolist(), strict=True):
            group, bucket = divmod(code, UNIT_BUCKETS)
            found[name, group if value is None else value, bucket] = count
    return found


def assert_by_unit(cell: Cell, want: dict[str, Any]) -> None:
    """Counts agree exactly, sums and moments to rounding."""
    assert by_unit(cell) == want.get("units", Counter())
    assert (cell.units is None) == ("units" not in want)
    units = ByUnit.of_cell(cell) or ByUnit.empty()
    for name, measure in units.metrics.items():
        theirs = {bucket: values for (metric, bucket), values in want["sums"].items() if metric == name}
        together = [value for values in theirs.values() for value in values]
        scale = max(map(abs, together)) or 1.0
        sums = counts_and_sums([measure])[1][0]
        assert all(abs(sums[bucket] - fsum(values)) <= 1e-11 * scale for bucket, values in theirs.items())
        mean = fsum(together) / len(together)
        m2 = fsum((value - mean) ** 2 for value in together)
        assert abs(measure.m2 - m2) <= 1e-11 * scale * scale * len(together)


def assert_samples(cells: list[Cell], events: list[InferenceEvent]) -> None:
    """Of each service the smallest hashes of its requests' units, each with what its first request said."""
    first: dict[str, dict[int, Any]] = {}
    for one in events:
        if one.unit and one.kind == "request":
            epoch = -1 if one.epoch is None else one.epoch
            bucket = -1 if one.bucket is None or one.bucket >= 1_000_000 else one.bucket
            said = (one.version, one.segment, epoch, bucket)
            first.setdefault(one.service, {}).setdefault(unit_hash(one.unit), said)
    for service in {cell.service for cell in cells}:
        seen = UnitsSeen.of_cells([cell for cell in cells if cell.service == service])
        rows = zip(seen.version, seen.segment, seen.epoch.tolist(), seen.bucket.tolist(), strict=True)
        smallest = sorted(first.get(service, {}).items())[:UNITS_SAMPLED_MAX]
        assert list(zip(seen.hash.tolist(), rows, strict=True)) == smallest


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
        assert_by_unit(cell, want)


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
                by_unit(one),
                one.units and one.units.sample,
            )
            for one in report.cells
        },
    )
