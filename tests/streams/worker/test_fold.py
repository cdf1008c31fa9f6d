"""The fold counts each event once, whatever is repeated and wherever it crashes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.command import Command, Verb
from schemas.inputs import Forwarded, Tick
from schemas.plan import EXAMPLE, parse_plan
from schemas.report import Report
from streams.worker import beats
from streams.worker.fold import fold, input_of, named_in, rebuild, start_service
from streams.worker.state import Asked, Input, Service, SliceSeen, TimePassed, WindowAdded
from tests.streams.worker.log_model import SERVICE, Event, Worker, cells_of, counted, expected, logs

LOGS = settings(max_examples=150, deadline=None)


def run(inputs: list[Input]) -> Worker:
    worker = Worker()
    for item in inputs:
        worker.take(item)
    return worker


def recovered(worker: Worker, inputs: list[Input], crashed_at: int) -> Worker:
    """A new worker that loads what was stored, seeks back, and folds on."""
    after = Worker(windows=dict(worker.stored_windows))
    if worker.stored is None:
        for item in inputs[: crashed_at + 1]:
            after.take(item)
        return after
    after.service = Service(stored=worker.stored.stored)
    for item in inputs[worker.stored.replay_from : crashed_at + 1]:
        if item.offset <= after.service.stored.applied:
            after.service = rebuild(after.service, item)
        else:
            after.take(item)
    return after


@LOGS
@given(logs())
def test_every_event_is_counted_once(log: tuple[list[list[Event]], list[Input]]) -> None:
    """Windows and open slices together hold each event once, through growing prefixes, repeats and zombies."""
    sources, inputs = log
    assert counted(run(inputs)) == expected(sources)


@LOGS
@given(logs(), st.data())
def test_a_crash_anywhere_changes_nothing(log: tuple[list[list[Event]], list[Input]], data: st.DataObject) -> None:
    """After a checkpoint, a half-written one and a crash, the new worker ends where a worker without a crash ends."""
    _, inputs = log
    if not inputs:
        return
    checkpoint_at = data.draw(st.integers(0, len(inputs) - 1))
    crash_at = data.draw(st.integers(checkpoint_at, len(inputs) - 1))
    worker = Worker()
    for item in inputs[: crash_at + 1]:
        worker.take(item)
        if item.offset == checkpoint_at:
            worker.checkpoint()
    worker.checkpoint(windows_written=data.draw(st.integers(0, len(worker.windows))))
    after = recovered(worker, inputs, crash_at)
    for item in inputs[crash_at + 1 :]:
        after.take(item)
    whole = run(inputs)
    assert counted(after) == counted(whole)
    assert after.service == whole.service


@LOGS
@given(logs())
def test_the_same_records_give_the_same_state_and_effects(log: tuple[list[list[Event]], list[Input]]) -> None:
    """The fold is a function: no clock, no chance; and an input applied before changes nothing."""
    _, inputs = log
    first, second = run(inputs), run(inputs)
    assert first.service == second.service
    if first.service is not None and inputs:
        assert fold(first.service, inputs[-1]) == (first.service, ())


def slice_seen(slice_no: int, through: int, n: int, source: int = 0) -> SliceSeen:
    events = [Event(slice_no, 0, "v1", error=False, latency_ms=10.0)] * n
    return SliceSeen(f"topic/{source}", slice_no, through, cells_of(events))


def folded(*items: Input) -> Service:
    service = start_service(SERVICE, items[0].offset, items[0].log_ms)
    for item in items:
        service, _ = fold(service, item)
    return service


def test_a_shorter_prefix_never_replaces_a_longer_one() -> None:
    """Rule 6: a zombie's older report changes nothing."""
    service = folded(Input(0, 0, slice_seen(5, 9, 4)), Input(1, 0, slice_seen(5, 7, 2)))
    assert [cell.n for cell in service.open["topic/0", 5].cells] == [4]
    assert service.replay_from == 0


def test_an_equal_prefix_moves_only_where_recovery_begins() -> None:
    """Rules 6 and 14: the last report that carried the longest prefix is where a recovery starts."""
    service = folded(Input(0, 0, slice_seen(5, 9, 4)), Input(1, 0, slice_seen(5, 9, 4)))
    assert service.replay_from == 1


def test_of_equal_prefixes_the_last_one_counts() -> None:
    """It is the one that a recovery reads, and another ingest's sums may differ in the last bits."""
    first = SliceSeen("topic/0", 5, 9, cells_of([Event(5, 0, "v1", error=False, latency_ms=0.1)]))
    again = SliceSeen("topic/0", 5, 9, cells_of([Event(5, 0, "v1", error=False, latency_ms=0.1 + 1e-16)]))
    service = folded(Input(0, 0, first), Input(1, 0, again), Input(2, 0, SliceSeen("topic/0", 5, 9, ())))
    assert service.open["topic/0", 5].cells == again.cells
    assert service.replay_from == 1


def test_the_last_slices_of_a_deleted_topic_are_folded() -> None:
    """Nothing follows them but another topic of the same name; until it does they stay open."""
    old = SliceSeen("old/0", 5, 9, cells_of([Event(5, 0, "v1", error=False, latency_ms=1.0)] * 3))
    new = SliceSeen("new/0", 6, 0, ())
    service = folded(Input(0, 0, old), Input(1, 10_000, TimePassed()), Input(2, beats.REPLACED_MS - 1, new))
    assert ("old/0", 5) in service.open
    service, _ = fold(service, Input(3, beats.REPLACED_MS, msgspec.structs.replace(new, source="new/1")))
    assert ("old/0", 5) in service.open, "another partition says nothing of this one"
    service, effects = fold(service, Input(4, beats.REPLACED_MS, new))
    assert not service.open
    assert [effect.cells for effect in effects if isinstance(effect, WindowAdded)] == [old.cells]


def test_a_stuck_partition_delays_judgement_by_the_grace_and_no_more() -> None:
    """Rule 7: a beat waits for a partition that does not move until the grace is over; what comes then is late."""
    start = [Input(0, 0, slice_seen(1, 0, 1, source=0)), Input(1, 0, slice_seen(1, 0, 1, source=1))]
    later = [Input(2, 100, slice_seen(2, 1, 1, source=0)), Input(3, beats.GRACE_MS - 1, TimePassed())]
    service = folded(*start, *later)
    assert service.stored.judged == -1
    service, _ = fold(service, Input(4, beats.GRACE_MS, TimePassed()))
    assert service.stored.judged == 1
    service, _ = fold(service, Input(5, beats.GRACE_MS, slice_seen(1, 4, 3, source=1)))
    service, _ = fold(service, Input(6, beats.GRACE_MS, slice_seen(2, 5, 1, source=1)))
    assert service.stored.late == 2


def test_a_partition_without_this_service_holds_nothing_up() -> None:
    """Empty reports of partitions in which the service never occurred are not waited for."""
    service = folded(
        Input(0, 0, slice_seen(1, 0, 1, source=0)),
        Input(1, 0, SliceSeen("topic/1", 0, 3, ())),
        Input(2, 300, slice_seen(2, 1, 1, source=0)),
    )
    assert service.stored.judged == 1


def test_a_record_concerns_the_services_it_names() -> None:
    """A report concerns every service of its input partition, a command its own, a tick all."""
    cells = list(cells_of([Event(1, 0, "v1", error=False, latency_ms=1.0)]))
    report = Report("topic", 0, 1, 0, 0, cells=cells)
    command = Command("1", "code", Verb.START, "ana", "try", 0, plan=parse_plan(EXAMPLE, file="x"))
    ordered = Forwarded(command)
    assert named_in(report) == {SERVICE: tuple(cells)}
    assert named_in(ordered) == {"code": ()}
    assert named_in(Tick()) == {}
    other = input_of(report, named_in(report), offset=3, log_ms=9, service="code")
    assert other is not None
    assert other.body == SliceSeen("topic/0", 1, 0, ())
    assert input_of(ordered, named_in(ordered), offset=3, log_ms=9, service=SERVICE) is None
    assert input_of(ordered, named_in(ordered), offset=3, log_ms=9, service="code") == Input(3, 9, Asked(command))
    assert input_of(Tick(), {}, offset=4, log_ms=9, service=SERVICE) == Input(4, 9, TimePassed())


@pytest.mark.parametrize("offset", [0, 3])
def test_inputs_from_before_the_service_change_nothing(offset: int) -> None:
    """Rule 15: a service ignores inputs before the one that created it."""
    service = start_service(SERVICE, 4, 0)
    assert fold(service, Input(offset, 0, slice_seen(1, 0, 1))) == (service, ())
    assert rebuild(service, Input(offset, 0, slice_seen(1, 0, 1))) == service


def test_time_does_not_go_back() -> None:
    """The inputs' log time is a running maximum."""
    service = folded(Input(0, 900, slice_seen(1, 0, 1)), Input(1, 100, TimePassed()))
    assert service.stored.now_ms == 900
    assert msgspec.structs.asdict(service.stored)["applied"] == 1
