"""The agent of ``canary.inputs``: bad records, holes, refused writes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from schemas.dead_letter import decode_dead_letter
from schemas.inputs import Forwarded, Tick, encode_input
from schemas.report import SLICE_MS
from streams.topics import EVENTS_DEAD
from streams.worker.faust_app import Arrived
from streams.worker.fold import Effect, fold
from streams.worker.state import Input, Service
from tests.streams.worker.inputs_log import START_MS, Log, cell, random_log, report, start_command
from tests.streams.worker.lifetimes import Lifetime, decisions, routes
from tests.streams.worker.memory_broker import Ended, MemoryBroker

SLICE = START_MS // SLICE_MS


def handle(worker: Lifetime, *records: Arrived) -> None:
    async def run() -> None:
        for record in records:
            await worker.agent.handle(record)

    asyncio.run(run())


def arrived(offset: int, value: bytes | None) -> Arrived:
    return Arrived(0, offset, START_MS + offset, None, value)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", None, b"{}", b"\xc1", encode_input(Tick())[:-1], b"\x81\xa4type\xa5other"),
        b"\x82\xa4type\xa4tick\xa6writer\xa2\xff\xff",
        b"\x82\xa4type\xa4tick\xa4deep" + b"\x91" * 100_000,
        msgspec.msgpack.encode(msgspec.to_builtins(report(source=0, slice_no=SLICE, through=2**64 - 1, cells=[]))),
    ],
)
def test_a_record_that_cannot_be_decoded_is_kept_and_passed(value: bytes | None) -> None:
    """It goes to the dead-letter topic with its place, and the next record is processed."""
    broker = MemoryBroker()
    worker = Lifetime(broker, [])
    handle(worker, arrived(0, value), arrived(1, encode_input(Tick())))
    letters = [decode_dead_letter(sent.value or b"") for sent in broker.sent if sent.topic == EVENTS_DEAD]
    assert [(letter.topic, letter.offset) for letter in letters] == [("canary.inputs", 0)]
    assert worker.partition.position.expected == 2


def test_a_huge_key_does_not_keep_a_dead_letter_from_its_topic() -> None:
    """Inputs may be of 10 MB, dead letters of two: the letter goes without such a key."""
    broker = MemoryBroker()
    handle(Lifetime(broker, []), Arrived(0, 0, START_MS, b"k" * 3_000_000, b"not an input"))
    assert [(sent.topic, sent.key) for sent in broker.sent] == [(EVENTS_DEAD, None)]


def test_a_redelivered_record_changes_nothing() -> None:
    """The same report twice is folded once."""
    log = random_log(3, steps=30)
    once, twice = Lifetime(MemoryBroker(), log), Lifetime(MemoryBroker(), log)
    once.read()
    for offset, (record, log_ms) in enumerate(log):
        value = encode_input(record)
        handle(twice, Arrived(0, offset, log_ms, None, value), Arrived(0, max(0, offset - 1), log_ms, None, value))
    assert twice.states() == once.states()
    assert twice.windows() == once.windows()


def test_a_hole_is_read_again() -> None:
    """A record above the expected one is not folded; the worker seeks back to what is missing."""
    broker = MemoryBroker()
    worker = Lifetime(broker, [])
    broker.limits = {0: (0, 10)}
    handle(worker, arrived(4, encode_input(Tick())))
    assert broker.seeks == [(0, 0)]
    assert worker.partition.position.expected == 0


def test_a_hole_that_stays_ends_the_process() -> None:
    """A record that is in the log and never comes must not be skipped."""
    broker = MemoryBroker()
    worker = Lifetime(broker, [])
    broker.limits = {0: (0, 10)}
    handle(worker, *(arrived(4 + i, encode_input(Tick())) for i in range(5)))
    assert len(broker.seeks) == 1, "what was on its way when the worker sought does not count"
    with pytest.raises(Ended, match="missing"):
        for _ in range(10):
            worker.now_s += 5.0
            handle(worker, arrived(4, encode_input(Tick())))


def test_a_truncated_log_is_gone_on_with() -> None:
    """What retention has deleted cannot be read: the worker says so and goes on at the first record there is."""
    broker = MemoryBroker()
    worker = Lifetime(broker, [])
    broker.limits = {0: (4, 10)}
    handle(worker, arrived(4, encode_input(Tick())))
    assert worker.partition.position.expected == 5
    assert not broker.seeks


def test_a_refused_write_ends_the_process_and_nothing_more_is_sent() -> None:
    """After a failed write neither a checkpoint nor another record goes out."""
    broker = MemoryBroker(fail_after=0)
    worker = Lifetime(broker, [])
    worker.now_s = 100.0
    with pytest.raises(Ended, match="not acknowledged"):
        handle(worker, arrived(0, encode_input(Forwarded(start_command()))))
    assert not broker.writes
    assert not broker.table


def test_the_decision_and_its_route_are_sent_before_anything_is_stored() -> None:
    """Publish first, then checkpoint."""
    broker = MemoryBroker()
    worker = Lifetime(broker, [])
    worker.now_s = 100.0
    handle(worker, arrived(0, encode_input(Forwarded(start_command()))))
    assert [what for what, _ in broker.writes[:2]] == ["send", "send"]
    assert [what for what, _ in broker.writes[2:]] == ["store", "store"]
    assert [route.epoch for route in routes(broker)] == [1]
    assert len(decisions(broker)) == 1


def test_a_defect_in_one_service_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose fold raises is stuck, is said to be so, is not stored, and the others are judged on."""

    def broken(service: Service, item: Input) -> tuple[Service, tuple[Effect, ...]]:
        if service.stored.service == "chat" and item.offset == 1:
            raise ZeroDivisionError("defect")
        return fold(service, item)

    monkeypatch.setattr("streams.worker.partition.fold", broken)
    log: Log = []
    for i, name in enumerate(["chat", "code", "code", "chat"]):
        cells = [cell(name, "v1", ts_ms=START_MS, n=1, errors=0)]
        log.append((report(source=0, slice_no=SLICE + i, through=i, cells=cells), START_MS + i))
    worker = Lifetime(MemoryBroker(), log)
    worker.read()
    asyncio.run(worker.agent.close())
    assert "ZeroDivisionError" in worker.partition.stuck["chat"]
    assert worker.partition.services["chat"].stored.applied == 0
    assert worker.partition.services["code"].stored.applied == 3
    assert not any(b"|chat" in key and key.startswith(b"service") for key in worker.broker.table)
