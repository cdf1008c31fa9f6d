"""`serinus route watch`: say, or let a command do, what the route in force asks for."""

from __future__ import annotations

import shlex
import threading

import click

from streams.cli.options import settings_option
from streams.routers.command import Command, Printed
from streams.routers.follower import follow
from streams.settings_load import Loaded
from streams.supervisor import stop_on_signals


@click.command()
@click.argument("service")
@click.option("--fallback", metavar="VERSION", required=True, help="Who serves while there is no route.")
@click.option(
    "--exec", "words", metavar="COMMAND", help="Run this at each change, with the route as JSON on its input."
)
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="Seconds for a run.")
@settings_option
def watch(loaded: Loaded, service: str, fallback: str, words: str | None, timeout: float) -> int:
    """Follow what is in force for a service: a line of JSON at each change, or a command that is given it.

    A route is in force while its lease holds. When that has run out, the fallback is, and that is a change too. A
    command that fails is run again until it works or something else is in force; only the newest counts.
    """
    command = shlex.split(words) if words is not None else None
    if command == []:
        raise click.UsageError("--exec is empty")
    stop = threading.Event()
    stop_on_signals(stop)
    carrier = Printed() if command is None else Command(command, timeout_s=timeout)
    follow(loaded.settings, service, fallback, carrier, stop)
    return 0
