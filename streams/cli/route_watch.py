"""`serinus route watch`: say, or let a command do, what the route in force asks for."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time

import click
import msgspec

from serinus import Router
from streams.cli.options import settings_option
from streams.cli.output import print_json
from streams.in_force import InForce, in_force
from streams.settings_load import Loaded
from streams.supervisor import stop_on_signals

FIRST_S = 10.0
"""A route in force is waited for so long at the start; then the fallback is, as it is whenever nothing is known."""

SETTLED_S = 0.5
"""The topic is read from its beginning: what is in force is known when no other route came for so long."""

RETRIES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before a command that failed is run again; the last one for ever, until it works or the route changes."""


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
    stop, changed = threading.Event(), threading.Event()
    stop_on_signals(stop)
    settings = loaded.settings
    with Router(
        service=service,
        fallback=fallback,
        brokers=settings.brokers,
        config=settings.kafka,
        topic_prefix=settings.topic_prefix,
        on_change=lambda _: changed.set(),
    ) as router:
        Follower(router, command, timeout_s=timeout).run(stop, changed)
    return 0


class Follower:
    """Carries out what is in force, one thing after another.

    Parameters
    ----------
    router : that is told by ``changed`` when it has something new.
    command : to be run; None prints.
    timeout_s : for one run.
    """

    def __init__(self, router: Router, command: list[str] | None, *, timeout_s: float) -> None:
        self._router, self._command, self._timeout_s = router, command, timeout_s
        self._done: InForce | None = None

    def run(self, stop: threading.Event, changed: threading.Event) -> None:
        """Until ``stop``."""
        self._settle(stop, changed)
        failures = 0
        while not stop.is_set():
            changed.clear()
            now = in_force(self._router.state())
            if self._done is not None and msgspec.structs.replace(now, reason=self._done.reason) == self._done:
                failures = 0
            elif self._carry_out(now):
                self._done, failures = now, 0
            else:
                self._wait(RETRIES_S[min(failures, len(RETRIES_S) - 1)], stop, changed)
                failures += 1
                continue
            self._wait(None, stop, changed)

    def _settle(self, stop: threading.Event, changed: threading.Event) -> None:
        began_s = time.monotonic()
        while not stop.is_set() and time.monotonic() - began_s < FIRST_S:
            if self._wait(SETTLED_S, stop, changed):
                changed.clear()
            elif not self._router.state().on_fallback:
                return

    def _wait(self, timeout_s: float | None, stop: threading.Event, changed: threading.Event) -> bool:
        """Whether something changed within the time; ends early when it has to stop."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not stop.is_set() and not changed.is_set():
            left_s = 0.2 if until_s is None else min(0.2, until_s - time.monotonic())
            if left_s <= 0:
                return False
            changed.wait(left_s)
        return changed.is_set()

    def _carry_out(self, now: InForce) -> bool:
        if self._command is None:
            print_json(now)
            return True
        shown = f"{now.service}, epoch {now.epoch}" if now.epoch is not None else f"{now.service}, on {now.fallback}"
        try:
            done = subprocess.run(self._command, input=msgspec.json.encode(now), timeout=self._timeout_s, check=False)
        except subprocess.TimeoutExpired:
            click.echo(f"{shown}: {self._command[0]} took longer than {self._timeout_s:g} s and was ended", err=True)
            return False
        except OSError as error:
            click.echo(f"{shown}: {self._command[0]} cannot be run: {error.strerror}", err=True)
            return False
        if done.returncode:
            click.echo(f"{shown}: {self._command[0]} ended with {done.returncode}; it is run again", err=True)
        return done.returncode == 0
