"""`serinus doctor`."""

from __future__ import annotations

import click

from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.doctor.examination import examine
from streams.doctor.finding import Level
from streams.settings_load import Loaded

_MARKS = {Level.FINE: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("problem", "red")}


@click.command()
@settings_option
@json_option
def doctor(loaded: Loaded, as_json: bool) -> int:
    """Examine brokers, topics, rights, flow, clocks and leases; say what to do. Exit 1 if there is a problem."""
    worst = Level.FINE
    for finding in examine(loaded.settings):
        if finding.level is Level.PROBLEM or worst is Level.FINE:
            worst = finding.level
        if as_json:
            print_json(finding)
            continue
        mark, colour = _MARKS[finding.level]
        click.echo(f"{click.style(mark, fg=colour)}: {finding.about}: {finding.what}")
        if finding.remedy:
            click.echo(f"    {finding.remedy}")
    return EXIT_NO if worst is Level.PROBLEM else EXIT_DONE
