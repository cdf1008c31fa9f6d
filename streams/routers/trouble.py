"""Says what is wrong once, not at each of many tries, and says when it is over."""

from __future__ import annotations

import click


class Trouble:
    """What was wrong at the last try."""

    def __init__(self) -> None:
        self._said = ""

    def say(self, what: str) -> bool:
        """Tell the operator, unless it was the last thing told; False, for who has failed."""
        if what != self._said:
            click.echo(f"{what}; trying again", err=True)
            self._said = what
        return False

    def over(self, what: str) -> bool:
        """True, for who has not failed."""
        if self._said:
            click.echo(what, err=True)
            self._said = ""
        return True
