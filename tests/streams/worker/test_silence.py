"""Silence is no reason to keep evidence back: time in the log closes blocks."""

from __future__ import annotations

from detectors.blocks import BLOCK_MS_MAX
from schemas.command import Command, Verb
from schemas.plan import EXAMPLE, parse_plan
from schemas.report import SLICE_MS, Cell
from streams.worker.beats import GRACE_MS, passed_ms
from streams.worker.fold import fold, start_service
from streams.worker.state import Asked, Input, Service, SliceSeen, Source, Stored

PLAN = parse_plan(EXAMPLE, file="plan.yaml")
FEW = (Cell("chat", "v1", "eu", 0, 6, 0), Cell("chat", "v2", "eu", 0, 5, 1))


def report(service: Service, slice_no: int, cells: tuple[Cell, ...] = ()) -> Service:
    offset = service.stored.applied + 1
    return fold(service, Input(offset, SLICE_MS * slice_no, SliceSeen("topic/0", slice_no, offset, cells)))[0]


def started() -> Service:
    start = Command("start", "chat", Verb.START, "ann", "try", 0, plan=PLAN)
    return fold(start_service("chat", 0, 0), Input(0, 0, Asked(start)))[0]


def open_blocks(service: Service) -> int:
    assert service.stored.judge is not None
    return len(service.stored.judge.blocks.open)


def test_time_closes_the_block_of_a_segment_that_has_fallen_silent() -> None:
    """Eleven requests of both arms, then only empty reports: a minute later they are evidence."""
    service = report(report(started(), 1, FEW), 2)
    assert open_blocks(service) == 1
    minute = BLOCK_MS_MAX // SLICE_MS
    for slice_no in range(3, minute + 1):
        service = report(service, slice_no)
    assert open_blocks(service) == 1
    for slice_no in range(minute + 1, minute + 6):
        service = report(service, slice_no)
    assert open_blocks(service) == 0
    release, judge = service.stored.release.release, service.stored.judge
    assert release is not None and judge is not None
    assert release.assessment.verdict.value == "INCONCLUSIVE"


def test_time_is_what_every_moving_partition_has_passed() -> None:
    """A partition that is behind holds time up as it holds up a beat: for the grace."""
    sources = {"topic/0": Source(newest_slice=900, moved_ms=50_000), "topic/1": Source(newest_slice=8, moved_ms=48_000)}
    assert passed_ms(Stored("chat", 0, started().stored.release, now_ms=50_000, sources=sources)) == 8 * SLICE_MS
    later = Stored("chat", 0, started().stored.release, now_ms=48_000 + GRACE_MS, sources=sources)
    assert passed_ms(later) == 900 * SLICE_MS
    assert passed_ms(Stored("chat", 0, started().stored.release, now_ms=99_000, sources=sources)) == 0


def test_what_comes_after_time_has_passed_does_not_turn_it_back() -> None:
    """A beat of a partition that stood still begins its block now, not in the past."""
    service = report(report(started(), 1, FEW), 2)
    for slice_no in range(3, BLOCK_MS_MAX // SLICE_MS + 9):
        service = report(service, slice_no)
    assert service.stored.judge is not None
    ended_ms = service.stored.judge.blocks.ended_ms
    assert ended_ms >= BLOCK_MS_MAX
    for slice_no in (5, 400):
        offset = service.stored.applied + 1
        seen = SliceSeen("topic/1", slice_no, offset, FEW)
        service = fold(service, Input(offset, service.stored.now_ms, seen))[0]
    assert service.stored.judge is not None
    assert [block.started_ms for block in service.stored.judge.blocks.open.values()] == [ended_ms - SLICE_MS]
