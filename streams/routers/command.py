"""Routes for everything else: a line of JSON, or a command that is given it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import click
import msgspec

from streams.cli.output import print_json
from streams.in_force import InForce
from streams.routers.baseline import shown


class Printed:
    """Says what is in force, in a line of JSON."""

    retries_s: Sequence[float] = (1.0,)

    def carry_out(self, now: InForce, lease_ms: int) -> bool:
        """Print it."""
        print_json(now)
        return True

    def keep(self, now: InForce, lease_ms: int) -> bool:
        """What was said stands."""
        return True


class Command:
    """Runs a command with the route as JSON on its input.

    Parameters
    ----------
    words : of the command.
    timeout_s : for one run.
    """

    retries_s: Sequence[float] = (1.0, 2.0, 5.0, 10.0, 30.0)

    def __init__(self, words: list[str], *, timeout_s: float) -> None:
        self._words, self._timeout_s = words, timeout_s

    def carry_out(self, now: InForce, lease_ms: int) -> bool:
        """Run it; False when it failed or took too long."""
        said, name = shown(now), self._words[0]
        try:
            done = subprocess.run(self._words, input=msgspec.json.encode(now), timeout=self._timeout_s, check=False)
        except subprocess.TimeoutExpired:
            click.echo(f"{said}: {name} took longer than {self._timeout_s:g} s and was ended", err=True)
            return False
        except OSError as error:
            click.echo(f"{said}: {name} cannot be run: {error.strerror}", err=True)
            return False
        if done.returncode:
            click.echo(f"{said}: {name} ended with {done.returncode}; it is run again", err=True)
        return done.returncode == 0

    def keep(self, now: InForce, lease_ms: int) -> bool:
        """A command that worked has worked."""
        return True
