"""Sending a command to the worker through Kafka, and waiting for its answer in the audit."""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click

from schemas.command import EPOCH_MAX, Command, Verb, check_command, encode_command
from schemas.decision import Decision, Refusal
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json, shares
from streams.cli.release_log import decision_of
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.kafka import UnreachableError, producer, require_broker
from streams.kafka_reader import Reader, bounds
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.topics import COMMANDS, DECISIONS

WRITE_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 15.0


class Sending(NamedTuple):
    """How a command goes to the worker: as whom, after which decision, and how long to wait for the answer (None: not
    at all)."""

    settings: Settings
    actor: str | None
    expected_epoch: int | None
    wait_s: float | None
    as_json: bool


wait_option = click.option(
    "--wait",
    type=click.FloatRange(0.1, 600),
    default=ANSWER_TIMEOUT_S,
    show_default=True,
    help="Seconds to wait for the answer.",
)

actor_option = click.option("--actor", metavar="NAME", help="Who asks; default: the user of the operating system.")


def sending_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds the options of every command that goes to the worker; the command receives them as ``sending``."""

    @wraps(function)
    def wrapped(*, loaded: Loaded, as_json: bool, wait: float, no_wait: bool, **own: Any) -> int:
        actor, epoch = own.pop("actor"), own.pop("expected_epoch")
        return function(Sending(loaded.settings, actor, epoch, None if no_wait else wait, as_json), **own)

    described: Callable[..., int] = wrapped
    for option in (
        click.option("--no-wait", is_flag=True, help="Do not wait for the worker's answer."),
        wait_option,
        actor_option,
        click.option(
            "--expected-epoch",
            metavar="N",
            type=click.IntRange(0, EPOCH_MAX),
            help="Refused unless this is the newest decision's epoch: nobody undoes what he has not seen.",
        ),
        json_option,
        settings_option,
    ):
        described = option(described)
    return described


def command(
    verb: Verb,
    service: str,
    *,
    actor: str | None,
    reason: str,
    **asked: Any,
) -> Command:
    """A command of this moment, checked.

    Parameters
    ----------
    actor : None means the user of the operating system.
    asked : further fields of :class:`schemas.command.Command`.

    Raises
    ------
    schemas.file_errors.RuleError, click.UsageError : something in it is not allowed.
    """
    made = Command(
        id=uuid.uuid4().hex,
        service=service,
        command=verb,
        actor=actor or _user(),
        reason=reason,
        issued_at_ms=time.time_ns() // 1_000_000,
        **asked,
    )
    check_command(made)
    return made


def carry_out(sending: Sending, asked: Command) -> int:
    """Write the command, wait for the worker's answer, print it.

    Returns
    -------
    The exit code: 0 done (or written, without waiting), 1 refused.

    Raises
    ------
    UnreachableError : Kafka is away, or no worker answered in time.
    """
    settings, wait_s, as_json = sending.settings, sending.wait_s, sending.as_json
    require_broker(settings)
    # Where the audit ends before the command is written: the answer comes after it.
    starts = {number: high for number, (_, high) in bounds(settings, settings.topic(DECISIONS)).items()}
    write(settings, asked)
    if wait_s is None:
        if as_json:
            print_json(asked)
        else:
            click.echo(f"{asked.service}: {asked.command.value} written as command {asked.id}")
        return EXIT_DONE
    answer = await_answer(settings, asked.id, starts, wait_s)
    if as_json:
        print_json(answer)
    elif isinstance(answer, Decision):
        weights = shares(answer.weights_ppm)
        click.echo(f"{answer.service}: {answer.action.value}, now {answer.state.value} ({weights}): {answer.reason}")
    else:
        click.echo(f"{answer.service}: {asked.command.value} refused: {answer.reason}", err=True)
    return EXIT_DONE if isinstance(answer, Decision) else EXIT_NO


def write(settings: Settings, asked: Command) -> None:
    """Append a command to ``canary.commands``; raises UnreachableError unless the broker has it."""
    failures: list[str] = []
    # One record with an id of its own: a repetition is harmless, and an operator needs no right to idempotent writes.
    client = producer(settings, "serinus-cli", message_timeout_ms=int(WRITE_TIMEOUT_S * 1000), enable_idempotence=False)
    client.produce(
        settings.topic(COMMANDS),
        encode_command(asked),
        asked.service.encode(),
        on_delivery=lambda error, _: failures.append(error.str()) if error else None,
    )
    left = client.flush(WRITE_TIMEOUT_S + 1)
    if left or failures:
        why = failures[0] if failures else "no acknowledgement"
        raise UnreachableError(f"Kafka at {settings.brokers} did not take the command ({why})")


def await_answer(settings: Settings, command_id: str, starts: dict[int, int], wait_s: float) -> Decision | Refusal:
    """The decision or refusal that answers a command.

    Parameters
    ----------
    starts : partition of ``canary.decisions`` -> where it ended before the command was written.

    Raises
    ------
    UnreachableError : nobody answered within ``wait_s`` seconds.
    """
    deadline = time.monotonic() + wait_s
    with Reader(settings, settings.topic(DECISIONS), starts) as reader:
        while (left_s := deadline - time.monotonic()) > 0:
            for message in reader.poll(min(left_s, 0.5)):
                answer = decision_of(message)
                if answer is not None and answer.command_id == command_id:
                    return answer
    raise UnreachableError(
        f"command {command_id} is written, but no worker answered within {wait_s:g} s;"
        " it is carried out when a worker comes up (is `serinus worker` running?)"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise click.UsageError("the operating system does not say who you are; use --actor NAME") from error
