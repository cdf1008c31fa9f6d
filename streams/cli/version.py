"""`serinus version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version

import click
import confluent_kafka

from streams.cli.options import json_option
from streams.cli.output import print_json

NOT_INSTALLED = "0.0.0"
"""The version when the source tree is used without being installed."""


def serinus_version() -> str:
    """The version of the installed distribution."""
    try:
        return distribution_version("serinus")
    except PackageNotFoundError:
        return NOT_INSTALLED


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Show the version of Serinus and of what it stands on."""
    versions = {
        "serinus": serinus_version(),
        "python": platform.python_version(),
        "faust-streaming": distribution_version("faust-streaming"),
        "confluent-kafka": confluent_kafka.__version__,
        "librdkafka": confluent_kafka.libversion()[0],
    }
    if as_json:
        print_json({"type": "version", **versions})
        return
    for name, number in versions.items():
        click.echo(f"{name} {number}")
