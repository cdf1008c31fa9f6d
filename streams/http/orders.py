"""``POST …/release`` and ``…/release/commands``: commands go the way of all commands, and the answer is waited for."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TypeVar

import msgspec
from aiohttp import web

from schemas.command import Command, Verb, check_command, encode_command
from schemas.decoding import decoded
from schemas.file_errors import FileError, RuleError
from schemas.plan import parse_plan
from streams.http.access import actor_of
from streams.http.json_answer import json_answer
from streams.http.problem import ProblemError
from streams.http.worker_view import WorkerView
from streams.topics import COMMANDS
from streams.worker.answers import TooManyWaitingError, carried_out
from streams.worker.broker_port import SendFailedError
from streams.worker.partition import Partition

ANSWER_S = 10.0
"""How long an answer is waited for; the command is carried out even when nobody waits any more."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a command. With an ``id`` it may be sent twice; without one each request is a new command."""

    command: Verb
    reason: str
    actor: str = "http"
    id: str | None = None
    version: str | None = None
    weight_ppm: int | None = None
    expected_epoch: int | None = None
    skip_evidence: bool = False


Asked = TypeVar("Asked", int, bool)

_order_decoder = msgspec.json.Decoder(Order)


class Taken(msgspec.Struct, frozen=True):
    """The command is on its way; its answer will stand in the decisions."""

    command_id: str
    detail: str = "the command was taken; no answer yet"


async def start_release(view: WorkerView, request: web.Request, service: str, _: Partition) -> web.StreamResponse:
    """Start the release that a plan describes; the body is the plan, YAML or JSON."""
    text = (await request.read()).decode("utf-8", errors="replace")
    try:
        plan = parse_plan(text, file="plan")
    except FileError as error:
        raise ProblemError(400, "wrong plan", str(error), line=error.line, field=error.field) from error
    return await _sent(
        view,
        Command(
            id=str(uuid.uuid4()),
            service=service,
            command=Verb.START,
            actor=actor_of(request, request.query.get("actor", "http")),
            reason=request.query.get("reason", "started over HTTP"),
            issued_at_ms=time.time_ns() // 1_000_000,
            plan=plan,
            expected_epoch=_asked(request, "expected_epoch", int),
            replace=bool(_asked(request, "replace", bool)),
        ),
    )


def _asked(request: web.Request, name: str, kind: type[Asked]) -> Asked | None:
    """What the query says of the command, None when it does not."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, "wrong command", f"{name}: found {text[:40]!r}; {error}", field=name) from error


async def command(view: WorkerView, request: web.Request, service: str, _: Partition) -> web.StreamResponse:
    """Pause, resume, promote, roll back, abort, or set a weight."""
    try:
        order = decoded(_order_decoder.decode, await request.read())
    except msgspec.DecodeError as error:
        raise ProblemError(400, "wrong command", str(error)) from error
    if order.command is Verb.START:
        raise ProblemError(400, "wrong command", f"start: POST the plan to /v1/services/{service}/release")
    return await _sent(
        view,
        Command(
            id=order.id or str(uuid.uuid4()),
            service=service,
            command=order.command,
            actor=actor_of(request, order.actor),
            reason=order.reason,
            issued_at_ms=time.time_ns() // 1_000_000,
            version=order.version,
            weight_ppm=order.weight_ppm,
            expected_epoch=order.expected_epoch,
            skip_evidence=order.skip_evidence,
        ),
    )


async def _sent(view: WorkerView, wanted: Command) -> web.StreamResponse:
    try:
        check_command(wanted)
    except RuleError as error:
        raise ProblemError(400, "wrong command", str(error), field=error.path) from error
    try:
        with view.registry.answers.expect(wanted.id) as answered:
            topic = view.settings.topic(COMMANDS)
            await view.port.send(topic, key=wanted.service.encode(), value=encode_command(wanted))
            try:
                record = await asyncio.wait_for(answered, ANSWER_S)
            except TimeoutError:
                return json_answer(Taken(wanted.id), status=202)
    except TooManyWaitingError as error:
        raise ProblemError(503, "too busy", str(error)) from error
    except SendFailedError as error:
        raise ProblemError(503, "Kafka does not answer", str(error)) from error
    if not carried_out(record):
        raise ProblemError(409, "refused", record.reason, command_id=wanted.id)
    return json_answer(record, status=201)
