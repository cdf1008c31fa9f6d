"""`serinus release`: start, watch and steer releases."""

from __future__ import annotations

from pathlib import Path

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
    Verb.PROMOTE: "Send everybody to the canary, whatever the evidence says.",
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
@sending_options
def start(sending: Sending, file: Path, reason: str | None) -> int:
    """Start the release that a plan describes."""
    plan = read_plan(file)
    asked = command(Verb.START, plan.service, actor=sending.actor, reason=reason or f"plan {file.name}", plan=plan)
    return carry_out(sending, asked)


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
    asked = command(Verb.SET_WEIGHT, service, actor=sending.actor, reason=reason, weight=(version, share))
    return carry_out(sending, asked)


def _steering(verb: Verb, summary: str) -> click.Command:
    @click.command(verb.value, help=summary)
    @click.argument("service")
    @click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the audit.")
    @sending_options
    def steer(sending: Sending, service: str, reason: str) -> int:
        return carry_out(sending, command(verb, service, actor=sending.actor, reason=reason))

    return steer


for _verb, _summary in _STEERING.items():
    release.add_command(_steering(_verb, _summary))
