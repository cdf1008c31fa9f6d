"""What an examination finds: how bad, what, and what to do about it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Level(Enum):
    """How bad a finding is. Warnings do not stop judgement; a problem does, or it endangers data."""

    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True, tag="finding", tag_field="type"):
    """One result of an examination.

    Parameters
    ----------
    about : what was examined, e.g. ``topics``.
    what : one sentence with the numbers.
    remedy : what to do; empty when all is fine.
    """

    about: str
    level: Level
    what: str
    remedy: str = ""


def fine(about: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(about, Level.FINE, what)


def warning(about: str, what: str, remedy: str) -> Finding:
    """Something that will matter."""
    return Finding(about, Level.WARNING, what, remedy)


def problem(about: str, what: str, remedy: str) -> Finding:
    """Something that matters now."""
    return Finding(about, Level.PROBLEM, what, remedy)
