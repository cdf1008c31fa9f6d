"""What a worker holds: assignments that overtake each other, bounds, listeners."""

from __future__ import annotations

import asyncio

import pytest

from schemas.decision import Refusal
from schemas.report import SLICE_MS
from streams.worker import partition as partition_module
from streams.worker.answers import Answers
from streams.worker.history import DECISIONS_KEPT, History
from streams.worker.registry import Registry
from streams.worker.subscribers import QUEUE_MAX, Happening, Subscribers
from tests.streams.worker.inputs_log import START_MS, Log, cell, report
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import Crash, MemoryBroker


def refusal(number: int, service: str = "chat") -> Refusal:
    return Refusal(service, f"c{number}", number, "ada", "no")


def test_a_recovery_that_was_overtaken_installs_nothing() -> None:
    """When partitions move again while they are being taken over, only the newest assignment counts."""
    registry = Registry(4)
    overtaken = registry.assignments
    registry.suspend()
    assert not registry.install({}, assignment=overtaken)
    assert not registry.ready
    assert registry.install({}, assignment=registry.assignments)
    assert registry.ready


def test_surplus_services_are_the_same_ones_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound admits by the order of the log, not by what a checkpoint happened to hold."""
    monkeypatch.setattr(partition_module, "SERVICES_MAX", 3)
    log: Log = []
    for i, name in enumerate(["a", "b", "c", "d", "e", "a", "d"] * 3):
        cells = [cell(name, "v1", ts_ms=START_MS, n=1, errors=0)]
        log.append((report(source=0, slice_no=START_MS // SLICE_MS + i, through=i, cells=cells), START_MS + i))
    calm = Lifetime(MemoryBroker(), log)
    calm.read()
    assert set(calm.partition.services) == {"a", "b", "c"}
    assert calm.partition.surplus_services == 9
    for crash_after in range(1, 12):
        broker = MemoryBroker(crash_after=crash_after)
        with pytest.raises(Crash):
            Lifetime(broker, log * 4).read()
        broker.crash_after = None
        second = Lifetime(broker, log)
        second.read()
        assert set(second.partition.services) == {"a", "b", "c"}


def test_the_history_keeps_the_newest_once() -> None:
    """Bounded, in order, without repeats, and only of services in hand."""
    history = History()
    assert all(history.add(refusal(i)) for i in range(DECISIONS_KEPT + 10))
    assert not history.add(refusal(DECISIONS_KEPT + 9))
    assert [r.at_ms for r in history.of("chat")] == list(range(10, DECISIONS_KEPT + 10))
    history.add(refusal(1, "code"))
    history.keep_only(["code"])
    assert (history.of("chat"), len(history.of("code"))) == ((), 1)


def test_an_answer_reaches_who_waits_for_it_and_nobody_else() -> None:
    """By command id; what nobody waits for is no error."""

    async def run() -> None:
        answers = Answers()
        with answers.expect("c1") as first, answers.expect("c2") as second:
            answers.tell(refusal(1))
            answers.tell(refusal(1))
            answers.tell(refusal(7))
            assert (await first).command_id == "c1"
            assert not second.done()
        answers.tell(refusal(2))

    asyncio.run(run())


def test_who_sends_a_command_twice_hears_the_answer_twice() -> None:
    """Two requests with one id wait at the same time, and the end of one does not take the answer from the other."""

    async def run() -> None:
        answers = Answers()
        with answers.expect("c1") as first:
            with answers.expect("c1") as impatient:
                assert not impatient.done()
            answers.tell(refusal(1))
            assert (await first).command_id == "c1"
        with answers.expect("c1") as late:
            assert not late.done()

    asyncio.run(run())


def test_a_slow_listener_loses_the_oldest() -> None:
    """Its queue is bounded; the worker never waits for it."""

    async def run() -> None:
        subscribers = Subscribers()
        with subscribers.subscribe("chat") as slow:
            for i in range(QUEUE_MAX + 5):
                subscribers.tell(Happening("decision", "chat", str(i).encode()))
            subscribers.tell(Happening("decision", "code", b"other"))
            assert (slow.lost, (await slow.next()).body) == (5, b"5")
        assert len(subscribers) == 0

    asyncio.run(run())
