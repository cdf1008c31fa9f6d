"""The agent of ``canary.commands``."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from schemas.command import encode_command
from schemas.dead_letter import decode_dead_letter
from schemas.decision import Refusal, decode_record
from schemas.inputs import Forwarded, decode_input
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.topics import DECISIONS, EVENTS_DEAD, INPUTS
from streams.worker.commands import CommandsAgent
from streams.worker.faust_app import Arrived
from streams.worker.recorder import Recorder
from tests.streams.worker.inputs_log import start_command
from tests.streams.worker.memory_broker import Ended, MemoryBroker, end_test


def handle(broker: MemoryBroker, value: bytes | None, *, partitions: int = 4) -> None:
    agent = CommandsAgent(Settings(), partitions, broker, Recorder(), end_test)
    asyncio.run(agent.handle(Arrived(1, 7, 1000, None, value)))


def test_a_command_goes_to_the_partition_of_its_service() -> None:
    """The partition is that of the inputs, whatever partition the command came on."""
    broker, command = MemoryBroker(), start_command()
    handle(broker, encode_command(command), partitions=7)
    [sent] = broker.sent
    assert (sent.topic, sent.partition) == (INPUTS, partition_of("chat", 7))
    assert decode_input(sent.value or b"") == Forwarded(command)


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"not json", b"[" * 5000, b'{"type":"command"}', b'"text"', b'{"id":1,"service":"chat"}', b"\xff"),
        b'{"type":"command","id":"\xff","service":"chat"}',
        b'{"type":"command","id":"c","service":"chat","deep":%b}' % (b"[" * 5000),
        b'{"type":"command","id":"c","service":"%b"}' % (b"x" * 600_000),
    ],
)
def test_a_record_that_is_no_command_is_kept(value: bytes | None) -> None:
    """It goes to the dead-letter topic; the worker goes on."""
    broker = MemoryBroker()
    handle(broker, value)
    [sent] = broker.sent
    assert sent.topic == EVENTS_DEAD
    assert decode_dead_letter(sent.value or b"").topic == "canary.commands"


def test_who_can_be_told_is_told() -> None:
    """A wrong command with an id and a service is answered on the audit, so that nobody waits for nothing."""
    broker = MemoryBroker()
    document = msgspec.json.decode(encode_command(start_command()))
    handle(broker, msgspec.json.encode(document | {"reason": "  "}))
    told = [decode_record(sent.value or b"") for sent in broker.sent if sent.topic == DECISIONS]
    [refusal] = told
    assert isinstance(refusal, Refusal)
    assert refusal.command_id == "c1"
    assert "reason" in refusal.reason


@pytest.mark.parametrize(
    ("place", "number"), [("$.issued_at_ms", 10**30), ("$.issued_at_ms", -1), ("$.weight_ppm", 10**30)]
)
def test_a_number_beyond_its_range_is_refused(place: str, number: int) -> None:
    """JSON has whole numbers of any length; the inputs have not, and a command that cannot be forwarded ends all."""
    broker, document = MemoryBroker(), msgspec.json.decode(encode_command(start_command()))
    handle(broker, json.dumps(document | {place[2:]: number}).encode())
    letter = decode_dead_letter(next(sent.value for sent in broker.sent if sent.topic == EVENTS_DEAD) or b"")
    assert letter.path == place


@pytest.mark.parametrize("text", ["9" * 400 + "d", "9" * 30 + "ms", "36501d"])
def test_a_plan_that_lasts_for_ever_is_refused(text: str) -> None:
    """Its end would be beyond every clock: a fault of the plan, and no defect of the worker."""
    broker, document = MemoryBroker(), msgspec.json.decode(encode_command(start_command()))
    document["plan"]["limits"]["max_duration"] = text
    handle(broker, msgspec.json.encode(document))
    assert {sent.topic for sent in broker.sent} == {EVENTS_DEAD, DECISIONS}


def test_a_command_that_cannot_be_forwarded_ends_the_process() -> None:
    """Faust would commit past it, and it would be lost."""
    with pytest.raises(Ended, match="not acknowledged"):
        handle(MemoryBroker(fail_after=0), encode_command(start_command()))
