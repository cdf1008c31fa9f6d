"""Slices and their prefixes depend on the log alone: not on batches, not on where a restart begins."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.event import InferenceEvent, decode_event, encode_event
from schemas.report import SLICE_MS, Report
from streams.ingest.aggregate import Aggregator, aggregate
from streams.ingest.records import Records
from tests.streams.ingest.direct_fold import assert_cells, assert_samples, direct, exact_part
from tests.streams.ingest.samples import BASE_MS, event

number = st.floats(-1e12, 1e12) | st.sampled_from([0.0, 1e99, -1e-300])
name = st.sampled_from(["a", "b", "c", "d", "e"])

events = st.builds(
    InferenceEvent,
    service=name,
    version=name,
    ts_ms=st.integers(BASE_MS - 40_000, BASE_MS + 40_000),
    kind=st.sampled_from(["request", "request", "feedback"]),
    error=st.booleans(),
    latency_ms=st.none() | st.floats(0, 1e9),
    values=st.none() | st.dictionaries(name, number, max_size=3),
    labels=st.none() | st.dictionaries(name, name, max_size=3),
    segment=st.sampled_from(["", "eu", "us", "asia"]),
    unit=st.none() | st.sampled_from(["", "ünit"]) | st.integers(0, 20).map(str),
    epoch=st.none() | st.integers(0, 3),
    bucket=st.none() | st.integers(0, 1_000_001),
)
bad = st.sampled_from([None, b"", b"{", b'{"service":"a","version":"b","ts_ms":1}'])
log = st.lists(
    st.tuples(st.one_of(events.map(encode_event), events.map(encode_event), bad), st.integers(-300, 300)), max_size=60
)


def records(entries: list[tuple[bytes | None, int]], first_offset: int = 0) -> tuple[Records, list[int]]:
    times = []
    now_ms = BASE_MS
    for _, step in entries:
        now_ms += step
        times.append(now_ms)
    return Records.of([raw for raw, _ in entries], times, source=3, first_offset=first_offset), times


def part(whole: Records, start: int, end: int) -> Records:
    return Records(whole.raw[start:end], whole.source[start:end], whole.offset[start:end], whole.log_ms[start:end])


def finals(batches: list[Records]) -> list[Report]:
    return [report for reports in aggregate(batches, input_partitions=2) for report in reports]


@given(log, st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=150, deadline=None)
def test_batches_change_nothing(entries: list[tuple[bytes | None, int]], cuts: list[int]) -> None:
    """Any split of the same log into batches yields the same slices with equal final prefixes."""
    whole, _ = records(entries)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [part(whole, a, b) for a, b in pairwise(edges)]
    assert list(map(exact_part, finals(pieces))) == list(map(exact_part, finals([whole])))


@given(log, st.data())
@settings(max_examples=100, deadline=None)
def test_a_restart_at_a_slice_cuts_the_same_slices(entries: list[tuple[bytes | None, int]], data: Any) -> None:
    """Starting at the first offset of any slice yields that slice and all later ones unchanged."""
    whole, _ = records(entries)
    all_reports = finals([whole])
    starts = sorted({report.first_offset for report in all_reports})
    if not starts:
        return
    start = data.draw(st.sampled_from(starts))
    again = finals([part(whole, start, len(whole))])
    assert list(map(exact_part, again)) == [exact_part(one) for one in all_reports if one.first_offset >= start]


@given(log)
@settings(max_examples=150, deadline=None)
def test_the_sum_of_the_cells_is_the_fold_of_the_events(entries: list[tuple[bytes | None, int]]) -> None:
    """Each slice's cells equal a direct fold of the slice's good events; slices are runs of the running maximum."""
    whole, times = records(entries)
    aggregator = Aggregator("t")
    closed, refused = aggregator.add(whole)
    dead = {one.row for one in refused}
    expected: dict[int, list[InferenceEvent]] = {}
    newest_ms = 0
    for row, raw in enumerate(whole.raw):
        newest_ms = max(newest_ms, times[row])
        kept = expected.setdefault(newest_ms // SLICE_MS, [])
        if row not in dead and raw is not None:
            kept.append(decode_event(raw))
    reports = {one[0].slice_no: one[0] for one in closed + aggregator.flush()}
    assert list(reports) == list(expected)
    for slice_no, kept in expected.items():
        assert_cells(reports[slice_no].cells, direct(kept))
        assert_samples(reports[slice_no].cells, kept)


@given(log, st.integers(1, 59))
@settings(max_examples=50, deadline=None)
def test_a_flush_shows_the_full_prefix(entries: list[tuple[bytes | None, int]], cut: int) -> None:
    """A report in the middle of a slice equals the final one of a log that ends there: a full prefix, never a delta."""
    whole, _ = records(entries)
    aggregator = Aggregator("replay", input_partitions=2)
    aggregator.add(part(whole, 0, cut // 2))
    aggregator.flush()
    aggregator.add(part(whole, cut // 2, cut))
    shown = [exact_part(one) for reports in aggregator.flush() for one in reports]
    ended = [exact_part(one) for one in finals([part(whole, 0, cut)])]
    assert shown == ended[len(ended) - len(shown) :]


def test_pieces_are_the_records_in_order() -> None:
    """A large batch is decoded piece by piece: no record is lost, and each keeps its key."""
    raws = [b"x" * 5_000 * (at % 7) if at % 5 else None for at in range(100)]
    whole = replace(Records.of(raws, [BASE_MS] * 100, first_offset=3), key_of=lambda row: str(row).encode())
    pieces = list(whole.pieces(50_000))
    assert len(pieces) > 5
    assert [raw for piece in pieces for raw in piece.raw] == raws
    assert [offset for piece in pieces for offset in piece.offset.tolist()] == list(range(3, 103))
    keys = [piece.key_of(row) for piece in pieces for row in range(len(piece))]
    assert keys == [str(row).encode() for row in range(100)]
    assert [len(piece) for piece in whole.pieces(10_000_000)] == [100]
    small = Records.of([b"x" * 500] * 100, [BASE_MS] * 100)
    assert [len(piece) for piece in small.pieces(1_000)] == [100]


def test_sources_do_not_mix() -> None:
    """Records of two source partitions in one batch are cut by their own times and counted apart."""
    raw = [encode_event(event(service=service)) for service in ("a", "b", "a", "b")]
    batch = Records(
        raw, np.array([0, 1, 0, 1]), np.array([5, 9, 6, 10]), np.array([BASE_MS, BASE_MS, BASE_MS, BASE_MS + SLICE_MS])
    )
    found = [report for reports in aggregate([batch]) for report in reports]
    assert [(one.source, one.first_offset, one.through_offset, one.cells[0].n) for one in found] == [
        (1, 9, 9, 1),
        (0, 5, 6, 2),
        (1, 10, 10, 1),
    ]


def test_offsets_that_go_back_are_an_error() -> None:
    """A log that starts again is another log: going on would count it under the old one's slices."""
    aggregator = Aggregator("t")
    aggregator.add(Records.of([encode_event(event())], [BASE_MS], first_offset=7))
    with pytest.raises(ValueError, match="source partition 0: offset 3 came after 7"):
        aggregator.add(Records.of([encode_event(event())], [BASE_MS], first_offset=3))


def test_grouping_by_sorting_equals_grouping_by_table() -> None:
    """The two ways of grouping give the same cells."""
    raw = [encode_event(event(service=f"s{i % 7}", version=f"v{i % 3}", values={"x": float(i)})) for i in range(500)]
    batch = Records.of(raw, [BASE_MS + i for i in range(500)])
    plain = list(map(exact_part, finals([batch])))
    with patch("streams.ingest.runs._DENSE_MIN", -(10**9)), patch("streams.ingest.runs._DENSE_PER_ENTRY", 0):
        assert list(map(exact_part, finals([batch]))) == plain
        with patch("streams.ingest.runs._NARROW_MAX", 0):
            assert list(map(exact_part, finals([batch]))) == plain
