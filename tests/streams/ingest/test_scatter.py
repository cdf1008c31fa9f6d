"""Vectors in cells: what ingest counts for joint gates, against the events one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.coordinates import vectors_of
from detectors.summaries.scatter import Scatter
from schemas.basis import Basis, Coordinate, encode_basis
from schemas.event import InferenceEvent, encode_event
from schemas.report import SLICE_MS, Report, ScatterCell
from streams.ingest.aggregate import Aggregator
from streams.ingest.bases import BASES_MAX, Bases
from streams.ingest.records import Records
from tests.streams.ingest.samples import BASE_MS, event

COORDINATES = (Coordinate("latency_ms", "log", 3.0, 1.0), Coordinate("values.n", "raw", 0.0, 2.0))
BASIS = Basis("chat", "chat-1", 7, COORDINATES)

made = st.builds(
    event,
    service=st.sampled_from(["chat", "code"]),
    version=st.sampled_from(["v1", "v2"]),
    latency_ms=st.none() | st.floats(0.1, 1000),
    values=st.none() | st.dictionaries(st.sampled_from(["n", "m"]), st.floats(-5, 5)),
    kind=st.sampled_from(["request", "request", "feedback"]),
)


def records(events: list[InferenceEvent], *, step_ms: int = 0) -> Records:
    times = [BASE_MS + number * step_ms for number in range(len(events))]
    return Records.of([encode_event(one) for one in events], times, source=0, first_offset=0)


def part(whole: Records, start: int, end: int) -> Records:
    return Records(whole.raw[start:end], whole.source[start:end], whole.offset[start:end], whole.log_ms[start:end])


def reports(events: list[InferenceEvent], bases: dict[str, Basis], cuts: list[int]) -> list[Report]:
    whole, aggregator = records(events), Aggregator("topic")
    aggregator.count_in(bases)
    for start, end in pairwise([0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]):
        if end > start:
            aggregator.add(part(whole, start, end))
    return [report for found in aggregator.flush() for report in found]


def scatters(found: list[Report]) -> dict[tuple[str, str], ScatterCell]:
    cells = [cell for report in found for cell in report.cells]
    return {(cell.service, cell.version): cell.scatter for cell in cells if cell.scatter is not None}


@given(st.lists(made, min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=150, deadline=None)
def test_cells_hold_the_vectors_of_complete_events(events: list[InferenceEvent], cuts: list[int]) -> None:
    """However the log is batched, a cell has the scatter of those requests of the service that carry every metric."""
    found = scatters(reports(events, {"chat": BASIS}, cuts))
    for version in ("v1", "v2"):
        values = [
            [one.latency_ms, (one.values or {})["n"]]
            for one in events
            if (one.service, one.version, one.kind) == ("chat", version, "request")
            and one.latency_ms is not None
            and "n" in (one.values or {})
        ]
        cell = found.pop(("chat", version), None)
        if not values:
            assert cell is None
            continue
        assert cell is not None and (cell.basis, cell.n) == (7, len(values))
        expected = Scatter.of(vectors_of(np.array(values), COORDINATES))
        said = Scatter.from_bytes(cell.n, cell.mean, cell.s)
        np.testing.assert_allclose(said.mean, expected.mean, atol=1e-9)
        np.testing.assert_allclose(said.s, expected.s, atol=1e-8)
    assert not found


def complete(version: str = "v1") -> InferenceEvent:
    return event(version=version, latency_ms=20.0, values={"n": 1.0})


def test_a_slice_keeps_the_basis_it_was_opened_with() -> None:
    """A basis that comes or goes takes hold at the next slice: in one slice no two bases are mixed."""
    aggregator = Aggregator("topic")
    whole = records([complete() for _ in range(6)], step_ms=SLICE_MS // 2)
    closed = []
    for row, bases in enumerate([{}, {"chat": BASIS}, {"chat": BASIS}, {}, {}, {}]):
        aggregator.count_in(bases)
        closed += [report for one in aggregator.add(part(whole, row, row + 1))[0] for report in one]
    numbers = [None if (found := report.cells[0].scatter) is None else (found.basis, found.n) for report in closed]
    assert numbers == [None, (7, 2)]


def test_what_the_slice_has_no_room_for_is_counted() -> None:
    """Vectors have a budget of bytes; cells beyond it have none, and the slice says so."""
    many = [Coordinate(f"values.m{number}", "raw", 0.0, 1.0) for number in range(6)]
    basis = Basis("chat", "chat-1", 7, tuple(many))
    values = {f"m{number}": 1.0 for number in range(6)}
    events = [
        event(version=f"v{version}", segment=f"s{segment}", ts_ms=BASE_MS - pane * 10_000, values=values)
        for pane in range(4)
        for version in range(8)
        for segment in range(8)
    ]
    (report,) = reports(events, {"chat": basis}, [])
    kept = [cell for cell in report.cells if cell.scatter is not None]
    assert 150 < len(kept) < len(report.cells) == 256
    assert report.folded == {"chat": 256 - len(kept)}


class TestBases:
    """What is read off the topic."""

    def test_the_newest_record_of_a_service_holds(self) -> None:
        """A later basis replaces an earlier one, a tombstone ends it, and others stay."""
        bases = Bases()
        other = Basis("code", "code-1", 3, COORDINATES)
        for one in (BASIS, other, Basis("chat", "chat-2", 9, COORDINATES)):
            bases.take(one.service, encode_basis(one))
        before = bases.by_service
        assert {name: one.number for name, one in before.items()} == {"chat": 9, "code": 3}
        bases.take("chat", None)
        assert dict(bases.by_service) == {"code": other}
        assert len(before) == 2, "slices that are open keep what they were opened with"

    @pytest.mark.parametrize("value", [b"", b"{}", encode_basis(BASIS).replace(b'"sd":1.0', b'"sd":0.0')])
    def test_a_record_that_is_no_basis_changes_nothing(self, value: bytes) -> None:
        """A broken record neither stops ingest nor ends what is known."""
        bases = Bases()
        bases.take("chat", encode_basis(BASIS))
        bases.take("chat", value)
        assert dict(bases.by_service) == {"chat": BASIS}

    def test_their_number_is_bounded(self) -> None:
        """Of too many services the ones that were told last are kept."""
        bases = Bases()
        for number in range(BASES_MAX + 3):
            bases.take(f"s{number}", encode_basis(Basis(f"s{number}", "r", number, COORDINATES)))
        assert len(bases.by_service) == BASES_MAX and "s2" not in bases.by_service
