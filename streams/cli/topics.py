"""`serinus topics create` and `serinus topics check`."""

from __future__ import annotations

import click

from streams import topics as pipeline
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.kafka import require_broker
from streams.settings_load import Loaded


@click.group()
def topics() -> None:
    """Create and check the topics."""


@topics.command()
@settings_option
@json_option
def create(loaded: Loaded, as_json: bool) -> None:
    """Create the topics that are missing; those that exist are left as they are."""
    require_broker(loaded.settings)
    for name, created in pipeline.create(loaded.settings):
        if as_json:
            print_json({"type": "topic", "name": name, "created": created})
        else:
            click.echo(f"{name}: {'created' if created else 'exists already, left as it is'}")


@topics.command()
@settings_option
@json_option
def check(loaded: Loaded, as_json: bool) -> int:
    """Say what is wrong with the topics; exit 1 if anything is."""
    require_broker(loaded.settings)
    findings = pipeline.check(loaded.settings)
    for finding in findings:
        if as_json:
            print_json({"type": "finding", "finding": finding})
        else:
            click.echo(finding)
    if not findings and not as_json:
        click.echo("all topics are as they must be")
    return EXIT_NO if findings else EXIT_DONE
