"""`serinus release watch`: follow a release to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import click
from rich.console import Console
from rich.live import Live

from schemas.decision import Decision, State
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json
from streams.cli.release_log import Standing, decision_of, standing
from streams.cli.release_status import exit_code
from streams.cli.release_view import decision_line, evidence_line, release_table
from streams.kafka import require_broker
from streams.kafka_reader import Reader
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.topics import DECISIONS

POLL_S = 0.5


@click.command()
@click.argument("service")
@settings_option
@json_option
def watch(loaded: Loaded, service: str, as_json: bool) -> int:
    """Follow the latest release of a service to its end.

    Exit 0 when it is promoted, 1 when it is rolled back or aborted.
    """
    require_broker(loaded.settings)
    found = standing(loaded.settings, service)
    console = Console()
    state: State | None = None
    with ExitStack() as stack:
        if found.latest is None:
            click.echo(f"{service}: no release yet; waiting for one", err=True)
        live = stack.enter_context(Live(console=console)) if console.is_terminal and not as_json else None
        shown: list[Decision] = []
        for decision in follow(loaded.settings, service, found):
            if shown and shown[-1].release_id != decision.release_id:
                shown.clear()
            shown.append(decision)
            state = decision.state
            if as_json:
                print_json(decision)
            elif live is not None:
                live.update(release_table(shown))
            else:
                _print_lines(decision)
    return exit_code(state)


def follow(settings: Settings, service: str, found: Standing) -> Iterator[Decision]:
    """Every decision of the service's release, first those found, then those to come; ends with the release."""
    epoch = -1
    for decision in found.decisions:
        epoch = decision.epoch
        yield decision
        if decision.state.final:
            return
    with Reader(settings, settings.topic(DECISIONS), {found.partition: found.next_offset}) as reader:
        while True:
            for message in reader.poll(POLL_S):
                record = decision_of(message)
                if not isinstance(record, Decision) or record.service != service or record.epoch <= epoch:
                    continue
                epoch = record.epoch
                yield record
                if record.state.final:
                    return


def _print_lines(decision: Decision) -> None:
    click.echo(decision_line(decision))
    for item in decision.evidence:
        click.echo(evidence_line(item))
