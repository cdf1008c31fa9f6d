"""`serinus apply`: plans as code."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack, assert_never

import click
import msgspec

from releases.plan_difference import Difference, differences
from releases.reconcile import Change, Deed, reconcile
from schemas.command import Command, Verb
from schemas.decision import plan_hash
from schemas.plan import Plan
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json
from streams.cli.plan_file import read_plans
from streams.cli.release_commands import Sending, actor_option, carry_out, command, wait_option
from streams.cli.release_log import newest_decisions, plans_on_record
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.kafka import require_broker
from streams.route_reader import read_routes
from streams.settings import Settings
from streams.settings_load import Loaded


class Told(msgspec.Struct, frozen=True, tag="change", tag_field="type"):
    """What is to be done about a service, for programs.

    Parameters
    ----------
    release_id, state, epoch : of the newest decision.
    before_on_record : whether the plan that ran last could be found, so that the difference is known.
    """

    service: str
    deed: str
    file: str | None
    release_id: str | None
    state: str | None
    epoch: int
    plan_hash: str | None
    before_on_record: bool
    difference: list[Difference]


class How(TypedDict):
    """As whom and why, how long to wait for an answer, and what goes beyond starting what is new."""

    actor: str | None
    reason: str | None
    wait: float
    dry_run: bool
    prune: bool
    retry: bool


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be done; exit 1 if anything would.")
@click.option("--prune", is_flag=True, help="Abort the releases that no plan in the folder asks for.")
@click.option("--retry", is_flag=True, help="Start plans again that were rolled back or aborted.")
@click.option("--reason", metavar="TEXT", help="Why; default: the name of the plan file.")
@wait_option
@actor_option
@json_option
@settings_option
def apply(loaded: Loaded, folder: Path, *, as_json: bool, **how: Unpack[How]) -> int:
    """Make what runs equal to the plans in a folder: its files *.yaml and *.yml, one for each service.

    A service without a release is started, one that runs another plan is replaced, the same plan is left alone. What
    was rolled back or aborted is not tried again by itself. If anything was decided since we looked, a command is
    refused and not repeated. Exit 1 if one was refused, or a plan is not tried again.
    """
    files = read_plans(folder)
    require_broker(loaded.settings)
    changes = _changes(loaded.settings, files, prune=how["prune"], retry=how["retry"])
    _tell(loaded.settings, changes, files, as_json=as_json)
    if how["dry_run"]:
        return EXIT_NO if any(change.deed.differs for change in changes) else EXIT_DONE
    code = EXIT_NO if any(change.deed is Deed.NOT_RETRIED for change in changes) else EXIT_DONE
    for change in changes:
        asked = _asked(change, files, actor=how["actor"], reason=how["reason"])
        if asked is not None:
            sending = Sending(loaded.settings, how["actor"], change.epoch, how["wait"], as_json)
            code = max(code, carry_out(sending, asked))
    return code


def _changes(settings: Settings, files: dict[Path, Plan], *, prune: bool, retry: bool) -> list[Change]:
    routes = read_routes(settings)
    planned = {plan.service for plan in files.values()}
    # A route says that there was a release; one that is not final, that it may be under way.
    known = {service for service, route in routes.items() if service in planned or not route.state.final}
    latest = newest_decisions(settings, planned | known, known=known)
    epochs = {service: route.epoch for service, route in routes.items()}
    return reconcile(list(files.values()), latest, epochs=epochs, prune=prune, retry=retry)


def _asked(change: Change, files: dict[Path, Plan], *, actor: str | None, reason: str | None) -> Command | None:
    """The command that carries a change out, if it takes one."""
    match change.deed:
        case Deed.START | Deed.REPLACE:
            why = reason or f"plan {_file_of(change, files)}"
            replace, verb, plan = change.deed is Deed.REPLACE, Verb.START, change.plan
        case Deed.ABORT:
            why, replace, verb, plan = reason or "no plan in the folder asks for it", False, Verb.ABORT, None
        case Deed.KEEP | Deed.NOT_RETRIED | Deed.UNPLANNED:
            return None
        case _:
            assert_never(change.deed)
    return command(
        verb, change.service, actor=actor, reason=why, plan=plan, replace=replace, expected_epoch=change.epoch
    )


def _file_of(change: Change, files: dict[Path, Plan]) -> str | None:
    return next((path.name for path, plan in files.items() if plan is change.plan), None)


def _tell(settings: Settings, changes: list[Change], files: dict[Path, Plan], *, as_json: bool) -> None:
    """One change after the other, and for people how many there are of each kind."""
    hashes = {change.latest.plan_hash for change in changes if change.latest is not None and change.deed.differs}
    recorded = plans_on_record(settings, hashes)
    for change in changes:
        before = recorded.get(change.latest.plan_hash) if change.latest is not None else None
        shown = differences(before, change.plan) if change.deed in {Deed.START, Deed.REPLACE} else []
        if as_json:
            print_json(_told(change, _file_of(change, files), before, shown))
            continue
        click.echo(_sentence(change, _file_of(change, files)))
        if shown and before is None and change.latest is not None:
            click.echo("    the plan before is not on record; all of the new one:")
        for line in _lines(shown):
            click.echo(f"    {line}")


def _told(change: Change, file: str | None, before: Plan | None, shown: list[Difference]) -> Told:
    latest, plan = change.latest, change.plan
    return Told(
        service=change.service,
        deed=change.deed.value,
        file=file,
        release_id=latest.release_id if latest else None,
        state=latest.state.value if latest else None,
        epoch=change.epoch,
        plan_hash=plan_hash(plan) if plan else None,
        before_on_record=before is not None,
        difference=shown,
    )


def _sentence(change: Change, file: str | None) -> str:
    latest = change.latest
    stands = f"{latest.release_id} is {latest.state.value}, epoch {latest.epoch}" if latest else "no release so far"
    match change.deed:
        case Deed.START:
            what = f"start by {file}"
        case Deed.REPLACE:
            what = f"replace by {file}"
        case Deed.ABORT:
            what = "abort: no plan asks for it"
        case Deed.KEEP:
            what = f"nothing to do, as in {file}"
        case Deed.NOT_RETRIED:
            what = f"{file} is not tried again by itself; change it, or use --retry"
        case Deed.UNPLANNED:
            what = "left alone: no plan asks for it, and --prune would abort it"
        case _:
            assert_never(change.deed)
    return f"{change.service}: {what} ({stands})"


def _lines(shown: list[Difference]) -> list[str]:
    lines = []
    for one in shown:
        lines += [f"- {one.field}: {one.before}"] if one.before is not None else []
        lines += [f"+ {one.field}: {one.after}"] if one.after is not None else []
    return lines
