"""By unit, from a report to the judge: the judge gets it, the windows do not, and what is stored stays bounded."""

from __future__ import annotations

import msgspec
import numpy as np

from detectors.blocks import BlocksState, add
from detectors.state_codec import encode_state
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from schemas.event import encode_event
from schemas.report import Cell
from streams.ingest.aggregate import aggregate
from streams.ingest.records import Records
from streams.worker import beats
from streams.worker.fold import fold, start_service
from streams.worker.state import Input, SliceSeen, WindowAdded
from tests.streams.ingest.samples import BASE_MS, event


def cells_of(rng: np.random.Generator, *, segments: int, each: int, slice_no: int = 0) -> tuple[Cell, ...]:
    """What ingest reports of requests of both versions in some segments, three metrics each, from many users."""
    raws = [
        encode_event(
            event(
                version=version,
                segment=f"s{segment}",
                latency_ms=float(rng.lognormal(5, 0.5)),
                values={"a": float(rng.lognormal(3, 1)), "b": float(rng.normal())},
                labels={"finish_reason": "stop"},
                unit=f"u{rng.integers(5_000)}",
                epoch=3,
                bucket=int(rng.integers(1_000_000)),
            )
        )
        for segment in range(segments)
        for version in ("v1", "v2")
        for _ in range(each)
    ]
    (reports,) = aggregate([Records.of(raws, [BASE_MS + 250 * slice_no] * len(raws))])
    return tuple(reports[0].cells)


def test_the_judge_gets_the_units_of_a_beat_and_the_windows_none() -> None:
    """A beat that closes has the cells with their units; the window effects of the same cells have none."""
    cells = cells_of(np.random.default_rng(1), segments=2, each=30)
    service = start_service("chat", 0, BASE_MS)
    first, effects = fold(service, Input(1, BASE_MS, SliceSeen("t/0", 7, 100, cells)))
    assert effects == ()
    closed, found = beats.close(first, 7)
    assert UnitsSeen.of_cells(found).hash.size > 100
    assert all(cell.units is not None for cell in found)
    _, effects = fold(first, Input(2, BASE_MS + 250, SliceSeen("t/0", 8, 200, cells)))
    added = [cell for effect in effects if isinstance(effect, WindowAdded) for cell in effect.cells]
    assert len(added) == len(cells)
    assert [msgspec.structs.replace(cell, units=None) for cell in cells] == added
    assert closed.stored.judged == 7


def test_the_longest_prefix_wins_for_units_too() -> None:
    """A later report of the same slice replaces the earlier one's units, an older one changes nothing."""
    rng = np.random.default_rng(2)
    short, long = cells_of(rng, segments=1, each=5), cells_of(rng, segments=1, each=50)
    service = start_service("chat", 0, BASE_MS)
    for offset, (through, cells) in enumerate([(10, short), (100, long), (10, short)], start=1):
        service, _ = fold(service, Input(offset, BASE_MS, SliceSeen("t/0", 7, through, cells)))
    _, found = beats.close(service, 7)
    assert found == long


def test_open_blocks_stay_small_in_a_checkpoint() -> None:
    """Ten segments, three metrics, nearly full blocks of many users: units take about as much as all else."""
    sizes = []
    for units in (True, False):
        rng, state = np.random.default_rng(3), BlocksState()
        for beat in range(9):
            cells = cells_of(rng, segments=10, each=1, slice_no=beat)
            kept = cells if units else tuple(msgspec.structs.replace(cell, units=None) for cell in cells)
            arms = {(cell.version, cell.segment): Summary.of_cell(cell) for cell in kept}
            state, closed = add(state, arms, 250 * (beat + 1))
            assert not closed
        sizes.append(len(encode_state(state)))
    assert sizes[0] < 200_000
    assert sizes[0] < 2.2 * sizes[1]
