"""Bounds hold, in log order from the slice's first offset, and nothing is lost in them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import LABELS_MAX, METRICS_MAX, OTHER, SEGMENTS_MAX, VERSIONS_MAX, InferenceEvent, encode_event
from schemas.inputs import encode_input
from schemas.report import SLICE_MS, Report
from streams.ingest.aggregate import aggregate
from streams.ingest.bounds import CELL_BYTES, LABEL_NAMES_MAX, PANES_MAX, REPORT_BYTES_MAX, SERVICES_MAX
from streams.ingest.records import Records
from tests.streams.ingest.direct_fold import exact_part, histogram
from tests.streams.ingest.samples import BASE_MS, event


def one_slice(events: list[InferenceEvent], cuts: tuple[int, ...] = ()) -> Report:
    raws = [encode_event(one) for one in events]
    edges = [0, *sorted(cuts), len(raws)]
    batches = [Records.of(raws[a:b], [BASE_MS] * (b - a), first_offset=a) for a, b in pairwise(edges)]
    (reports,) = list(aggregate(batches))
    return reports[0]


def assert_all_counted(report: Report, events: list[InferenceEvent]) -> None:
    assert sum(cell.n for cell in report.cells) == sum(one.kind == "request" for one in events)
    numbers = sum((one.latency_ms is not None) + len(one.values or {}) for one in events)
    metrics = [metric for cell in report.cells for metric in cell.metrics]
    assert sum(metric.n for metric in metrics) == numbers
    assert all(histogram(metric.bins, metric.counts).total() == metric.n for metric in metrics)
    labels = Counter(label.name for cell in report.cells for label in cell.labels for _ in label.counts.values())
    assert labels.total() == sum(len(label.counts) for cell in report.cells for label in cell.labels)
    counted = sum(sum(label.counts.values()) for cell in report.cells for label in cell.labels)
    assert counted == sum(len(one.labels or {}) for one in events)
    assert len(encode_input(report)) <= REPORT_BYTES_MAX


def test_versions_segments_and_services_are_bounded_in_log_order() -> None:
    """The first names in the log are kept, the rest becomes `other` and is counted as folded."""
    events = [event(version=f"v{i}") for i in range(VERSIONS_MAX + 3)]
    events += [event(version="v0", segment=f"s{i}") for i in range(SEGMENTS_MAX + 2)]
    report = one_slice(events)
    assert {cell.version for cell in report.cells} == {*(f"v{i}" for i in range(VERSIONS_MAX)), OTHER}
    assert {cell.segment for cell in report.cells} == {"", *(f"s{i}" for i in range(SEGMENTS_MAX)), OTHER}
    assert report.folded == {"chat": 3 + 2}
    assert_all_counted(report, events)
    services = [event(service=f"x{i}", latency_ms=None) for i in range(SERVICES_MAX + 4)]
    report = one_slice(services)
    assert {cell.service for cell in report.cells} == {*(f"x{i}" for i in range(SERVICES_MAX)), OTHER}
    assert report.folded == {OTHER: 4 * 3}  # the service, its version, its segment
    assert_all_counted(report, services)


def test_metrics_and_labels_are_bounded_in_log_order() -> None:
    """Beyond the bounds metrics and labels become `other`; latency always has its place."""
    events = [event(latency_ms=None, values={f"m{i}": 1.0}) for i in range(METRICS_MAX + 3)]
    events += [event(labels={"a": f"y{i}"}) for i in range(LABELS_MAX + 5)]
    events += [event(labels={f"l{i}": "x"}) for i in range(LABEL_NAMES_MAX + 1)]
    report = one_slice(events)
    (cell,) = report.cells
    names = {metric.name: metric.n for metric in cell.metrics}
    assert set(names) == {"latency_ms", OTHER, *(f"values.m{i}" for i in range(METRICS_MAX))}
    assert names[OTHER] == 3
    labels = {label.name: label.counts for label in cell.labels}
    assert set(labels["a"]) == {OTHER, *(f"y{i}" for i in range(LABELS_MAX))}
    assert labels["a"][OTHER] == 5
    assert labels[OTHER] == {OTHER: 2}
    assert_all_counted(report, events)


def test_panes_are_bounded() -> None:
    """Beyond the bound an event lands in the latest admitted pane before its own, else in the earliest."""
    panes = [BASE_MS + 10_000 * i for i in range(-PANES_MAX + 1, 1)]
    late = [event(ts_ms=BASE_MS - 10_000 * (PANES_MAX + i)) for i in range(3)]
    events = [event(ts_ms=ts) for ts in panes] + late + [event(ts_ms=BASE_MS + 20_000)]
    report = one_slice(events)
    counts = {cell.pane: cell.n for cell in report.cells}
    assert len(counts) == PANES_MAX
    assert counts[min(counts)] == 4
    assert counts[max(counts)] == 2
    assert report.folded == {"chat": 4}


def test_a_new_slice_starts_with_empty_bounds() -> None:
    """A name that found no room in one slice has it in the next."""
    raws = [encode_event(event(version=f"v{i}")) for i in range(VERSIONS_MAX + 1)]
    raws.append(raws[-1])
    times = [BASE_MS] * (VERSIONS_MAX + 1) + [BASE_MS + SLICE_MS]
    first, second = (reports[0] for reports in aggregate([Records.of(raws, times)]))
    assert OTHER in {cell.version for cell in first.cells}
    assert [cell.version for cell in second.cells] == [f"v{VERSIONS_MAX}"]


hostile = st.builds(
    InferenceEvent,
    service=st.integers(0, 5).map("s{}".format),
    version=st.integers(0, 12).map("v{}".format) | st.just(OTHER),
    ts_ms=st.integers(-90, 3).map(lambda pane: BASE_MS + 10_000 * pane),
    kind=st.sampled_from(["request", "feedback"]),
    latency_ms=st.none() | st.floats(0, 1e9),
    values=st.none() | st.dictionaries(st.integers(0, 9).map(str), st.floats(-1e3, 1e3), max_size=4),
    labels=st.none() | st.dictionaries(st.integers(0, 9).map(str) | st.just(OTHER), st.integers(0, 9).map(str)),
    segment=st.sampled_from(["", "a", "b", "c", OTHER]),
    unit=st.none() | st.integers(0, 300).map("u{}".format),
)


UNIT_BYTES, UNITS = 1500, 40


@contextmanager
def tight(*, cell_bytes: int, entry_bytes: int, bins: int) -> Iterator[None]:
    """Bounds so low that a small flood meets every one of them."""
    with ExitStack() as stack:
        for name, value in {
            "_CELLS_BUDGET": cell_bytes,
            "_METRICS_BUDGET": 4 * entry_bytes,
            "_LABELS_BUDGET": entry_bytes,
            "SERVICES_MAX": 3,
            "METRICS_MAX": 3,
            "LABELS_MAX": 3,
            "LABEL_NAMES_MAX": 3,
            "PANES_MAX": 4,
        }.items():
            stack.enter_context(patch(f"streams.ingest.bounds.{name}", value))
        stack.enter_context(patch("streams.ingest.sums.BINS_MAX", bins))
        stack.enter_context(patch("streams.ingest.sums.UNIT_BYTES_MAX", UNIT_BYTES))
        stack.enter_context(patch("streams.ingest.sums.UNITS_REPORTED_MAX", UNITS))
        yield


@given(st.lists(hostile, min_size=1, max_size=60), st.integers(0, 300), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_the_order_of_keys_in_a_record_changes_nothing(
    events: list[InferenceEvent], entry_bytes: int, bins: int
) -> None:
    """Which of the names of one event find room depends on the names, not on how the record was written."""

    def turned(maps: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if maps is None else dict(reversed(maps.items()))

    with tight(cell_bytes=12_000, entry_bytes=entry_bytes, bins=bins):
        again = [replace(one, values=turned(one.values), labels=turned(one.labels)) for one in events]
        assert exact_part(one_slice(events)) == exact_part(one_slice(again))


@given(
    st.lists(hostile, min_size=1, max_size=80),
    st.lists(st.integers(0, 80), max_size=4),
    st.integers(400, 12_000),
    st.integers(0, 300),
    st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_tight_bounds_fold_alike_whatever_the_batches(
    events: list[InferenceEvent], cuts: list[int], cell_bytes: int, entry_bytes: int, bins: int
) -> None:
    """With every budget nearly spent, any batches give the same cells and the same folded counts, and lose nothing."""
    with tight(cell_bytes=cell_bytes, entry_bytes=entry_bytes, bins=bins):
        whole = one_slice(events)
        split = one_slice(events, tuple(min(cut, len(events)) for cut in cuts))
        one_by_one = one_slice(events, tuple(range(1, len(events))))
    assert exact_part(whole) == exact_part(split) == exact_part(one_by_one)
    assert_all_counted(whole, events)


@pytest.mark.parametrize("seed", range(12))
def test_floods_fold_alike_and_stay_within_their_budgets(seed: int) -> None:
    """Long floods too: in one batch and record by record the same, and no report is larger than was paid for."""
    rng = random.Random(seed)
    events = [
        event(
            service=f"s{rng.randrange(6)}",
            version=f"v{rng.randrange(12)}",
            ts_ms=BASE_MS - 10_000 * rng.randrange(9),
            latency_ms=rng.lognormvariate(0, 5),
            values={f"m{rng.randrange(9)}": rng.lognormvariate(0, 5) for _ in range(2)},
            labels={f"l{rng.randrange(9)}": f"x{rng.randrange(9)}"},
            segment=f"g{rng.randrange(9)}",
            unit=f"u{rng.randrange(300)}",
            epoch=rng.randrange(3),
            bucket=rng.randrange(1_000_000),
        )
        for _ in range(400)
    ]
    cell_bytes, entry_bytes, bins = rng.randrange(1500, 30_000), rng.randrange(200, 4000), rng.randrange(0, 400)
    with tight(cell_bytes=cell_bytes, entry_bytes=entry_bytes, bins=bins):
        whole = one_slice(events)
        assert exact_part(whole) == exact_part(one_slice(events, tuple(range(1, len(events)))))
    assert_all_counted(whole, events)
    paid = sum(CELL_BYTES + len(one.service) + len(one.version) + len(one.segment) for one in whole.cells)
    assert paid <= cell_bytes
    by_unit = UNIT_BYTES + 6 * bins + 20 * UNITS
    assert len(encode_input(whole)) <= cell_bytes + 5 * entry_bytes + 12 * bins + by_unit + 1000


def test_the_worst_report_fits_a_message() -> None:
    """A flood of different long names, metrics, labels, values and panes stays below the size of a message."""
    rng = random.Random(5)

    def name(kinds: int) -> str:
        return f"{rng.randrange(kinds):03d}" + "😀" * 253

    events = [
        event(
            service=name(300),
            version=name(9),
            segment=name(70),
            ts_ms=BASE_MS - 10_000 * rng.randrange(3000),
            values={name(40): rng.lognormvariate(0, 9) for _ in range(3)},
            labels={name(40): name(80) for _ in range(3)},
        )
        for _ in range(2500)
    ]
    few = [
        event(service=f"s{i % 250}", values={f"m{j}": rng.lognormvariate(0, 9) for j in range(40)}) for i in range(4500)
    ]
    for floods in (events, few, events[:800] + few[:3000]):
        flood = [msgspec.structs.replace(one, unit=f"u{at}", bucket=at) for at, one in enumerate(floods)]
        report = one_slice(flood)
        assert_all_counted(report, flood)
        assert report.folded
