"""Releases over HTTP: state, history, commands, live events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from schemas.command import Verb, decode_command
from schemas.inputs import Forwarded, Tick, encode_input
from schemas.plan import EXAMPLE
from streams.http import orders
from streams.topics import COMMANDS
from streams.worker.broker_port import SendFailedError
from streams.worker.faust_app import Arrived
from tests.streams.http.client import Client, Running, ask
from tests.streams.worker.inputs_log import START_MS, Log, start_command
from tests.streams.worker.memory_broker import MemoryBroker

STARTED: Log = [(Forwarded(start_command()), START_MS)]
RELEASE = "/v1/services/chat/release"


class Loop(MemoryBroker):
    """A broker whose commands arrive in the inputs at once."""

    running: Running

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        await super().send(topic, key=key, value=value, partition=partition)
        if topic == COMMANDS:
            record = encode_input(Forwarded(decode_command(value or b"")))
            offset = self.running.worker.partition.position.expected
            await self.running.worker.agent.handle(Arrived(0, offset, START_MS + offset, None, record))


def looped(log: Log) -> Running:
    """A worker that hears its own commands."""
    running = Running(log)
    loop = Loop()
    loop.running, loop.limits = running, running.broker.limits
    running.view.port = loop
    return running


def test_the_release_says_where_it_stands() -> None:
    """State, weights, plan in its own words; the history has the decision."""

    async def questions(client: Client) -> None:
        now = await (await client.get(RELEASE)).json()
        assert (now["state"], now["epoch"], now["weights_ppm"]) == ("ramping", 1, {"v1": 990_000, "v2": 10_000})
        assert now["plan"]["metrics"][0]["margin"] == "0.5%"
        history = await (await client.get("/v1/services/chat/decisions")).json()
        assert [decision["action"] for decision in history["decisions"]] == ["start"]

    ask(Running(STARTED), questions)


@pytest.mark.parametrize("body", [EXAMPLE, json.dumps({"service": "chat", "baseline": "v1", "canaries": ["v2"]})])
def test_a_plan_starts_a_release_or_is_refused_by_line_and_field(body: str) -> None:
    """A whole plan gives 201 and the decision; half a one gives 400 with the field that is missing."""

    async def questions(client: Client) -> None:
        response = await client.post(f"{RELEASE}?actor=ada&reason=new%20model", data=body.encode())
        found = await response.json(content_type=None)
        if body == EXAMPLE:
            assert response.status == 201
            assert (found["action"], found["actor"]) == ("start", "ada")
        else:
            assert response.status == 400
            assert (found["field"], found["title"]) == ("ramp", "wrong plan")

    ask(looped([(Tick(), START_MS)]), questions)


def test_commands_are_carried_out_or_refused_with_a_reason() -> None:
    """201 with the decision, 409 with why not."""

    async def questions(client: Client) -> None:
        async def send(**order: Any) -> tuple[int, Any]:
            response = await client.post(f"{RELEASE}/commands", json=order)
            return response.status, await response.json(content_type=None)

        status, found = await send(command="pause", reason="have a look", actor="ada")
        assert (status, found["action"], found["reason"] != "") == (201, "pause", True)
        status, found = await send(command="pause", reason="again", actor="ada")
        assert (status, found["title"]) == (409, "refused")
        status, found = await send(command="rollback", reason="enough")
        assert (status, found["state"]) == (201, "rolled_back")

    ask(looped(STARTED), questions)


def test_a_start_may_replace_and_commands_may_name_the_epoch_they_answer_to() -> None:
    """What the query says of a start, and what the body says of a command."""

    async def questions(client: Client) -> None:
        async def start(query: str) -> tuple[int, Any]:
            response = await client.post(f"{RELEASE}?{query}", data=EXAMPLE.encode())
            return response.status, await response.json(content_type=None)

        assert (await start(""))[0] == 409
        status, found = await start("replace=perhaps")
        assert (status, found["field"]) == (400, "replace")
        assert (await start("replace=true&expected_epoch=7"))[0] == 409
        status, found = await start("replace=true&expected_epoch=1")
        assert (status, found["action"], found["epoch"]) == (201, "start", 3)
        order = {"command": "promote", "reason": "x", "expected_epoch": 3}
        response = await client.post(f"{RELEASE}/commands", json=order)
        assert response.status == 409
        response = await client.post(f"{RELEASE}/commands", json=order | {"skip_evidence": True})
        assert (response.status, (await response.json())["state"]) == (201, "promoted")

    ask(looped(STARTED), questions)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"command": "pause"},
        {"command": "pause", "reason": " "},
        {"command": "destroy", "reason": "x"},
        {"command": "start", "reason": "x"},
        {"command": "set_weight", "reason": "x"},
        {"command": "set_weight", "reason": "x", "version": "v2", "weight_ppm": 1_000_001},
        {"command": "pause", "reason": "x", "speed": 3},
    ],
)
def test_wrong_commands_are_not_sent(order: dict[str, Any]) -> None:
    """They get 400 and nothing reaches the topic."""
    running = looped(STARTED)

    async def questions(client: Client) -> None:
        response = await client.post(f"{RELEASE}/commands", json=order)
        assert response.status == 400, await response.text()

    ask(running, questions)
    assert not running.view.port.sent  # type: ignore[attr-defined]  # the port is the broker in memory


def test_a_command_without_an_answer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """202 with the id under which the answer will stand in the decisions."""
    monkeypatch.setattr(orders, "ANSWER_S", 0.05)
    running = Running(STARTED)

    async def questions(client: Client) -> None:
        response = await client.post(f"{RELEASE}/commands", json={"command": "pause", "reason": "x"})
        assert response.status == 202
        assert (await response.json())["command_id"]

    ask(running, questions)
    [sent] = [sent for sent in running.broker.sent if sent.topic == COMMANDS]
    assert decode_command(sent.value or b"").command is Verb.PAUSE


def test_without_kafka_a_command_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was not acknowledged must not look taken."""
    running = Running(STARTED)

    async def questions(client: Client) -> None:
        async def refuse(*_: object, **__: object) -> None:
            raise SendFailedError("no broker")

        monkeypatch.setattr(running.broker, "send", refuse)
        response = await client.post(f"{RELEASE}/commands", json={"command": "pause", "reason": "x"})
        assert response.status == 503
        assert response.headers["Retry-After"]

    ask(running, questions)


def test_listeners_hear_decisions_as_they_are_taken() -> None:
    """Server-sent events with the decision as it stands on the audit."""
    running = looped(STARTED)

    async def questions(client: Client) -> None:
        response = await client.get("/v1/stream?service=chat")
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b"retry: 2000\n"
        await client.post(f"{RELEASE}/commands", json={"command": "pause", "reason": "x"})
        async with asyncio.timeout(5):
            lines = [await response.content.readline() for _ in range(3)]
        assert lines[1] == b"event: decision\n"
        assert json.loads(lines[2].removeprefix(b"data: "))["action"] == "pause"
        response.close()

    ask(running, questions)
