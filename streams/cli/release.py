"""`serinus release`: start, watch and steer releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from schemas.command import Verb
from schemas.units import Share
from streams.cli.plan_file import read_plan
from streams.cli.release_commands import Sending, carry_out, command, sending_options
from streams.cli.release_status import status
from streams.cli.release_watch import watch

_STEERING = {
    Verb.PAUSE: "Stop advancing; the shares stay as they are.",
    Verb.RESUME: "Advance again after a pause.",
    Verb.CONFIRM: "Say yes to the step that the plan wants confirmed.",
    Verb.ROLLBACK: "Send everybody back to the baseline. Final.",
    Verb.ABORT: "End the release without a judgement, on the baseline. Final.",
}


class ShareType(click.ParamType):
    """A share of traffic such as ``5%``; the command receives parts per million."""

    name = "SHARE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(Share.parse(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def release() -> None:
    """Start, watch and steer releases."""


release.add_command(status)
release.add_command(watch)


@release.command()
@click.argument("file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--reason", metavar="TEXT", help="Why; default: the name of the plan file.")
@click.option("--replace", is_flag=True, help="Abort the release that is under way.")
@sending_options
def start(sending: Sending, file: Path, reason: str | None, replace: bool) -> int:
    """Start the release that a plan describes."""
    plan = read_plan(file)
    why = reason or f"plan {file.name}"
    return _sent(sending, Verb.START, plan.service, reason=why, plan=plan, replace=replace)


@release.command()
@click.argument("service")
@click.option("--version", metavar="VERSION", help="Which of several canaries; default: the first that has traffic.")
@click.option("--skip-evidence", is_flag=True, help="Whatever the evidence says.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the audit.")
@sending_options
def promote(sending: Sending, service: str, version: str | None, skip_evidence: bool, reason: str) -> int:
    """Send everybody to the canary now, if the evidence allows it or you do not ask it."""
    return _sent(sending, Verb.PROMOTE, service, reason=reason, version=version, skip_evidence=skip_evidence)


@release.command("set-weight")
@click.argument("service")
@click.argument("version")
@click.argument("share", type=ShareType())
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the audit.")
@sending_options
def set_weight(sending: Sending, service: str, version: str, share: int, reason: str) -> int:
    """Give one version a share of the traffic.

    For example: serinus release set-weight chat v2 5% --reason "a closer look".
    """
    return _sent(sending, Verb.SET_WEIGHT, service, reason=reason, version=version, weight_ppm=share)


def _steering(verb: Verb, summary: str) -> click.Command:
    @click.command(verb.value, help=summary)
    @click.argument("service")
    @click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the audit.")
    @sending_options
    def steer(sending: Sending, service: str, reason: str) -> int:
        return _sent(sending, verb, service, reason=reason)

    return steer


def _sent(sending: Sending, verb: Verb, service: str, **asked: Any) -> int:
    made = command(verb, service, actor=sending.actor, expected_epoch=sending.expected_epoch, **asked)
    return carry_out(sending, made)


for _verb, _summary in _STEERING.items():
    release.add_command(_steering(_verb, _summary))
