"""What must hold before a worker joins its group. A wrong partition count would lose commands and split states."""

from __future__ import annotations

from streams.kafka_reader import bounds
from streams.settings import Settings
from streams.topics import BASES, COMMANDS, CONTROL, DECISIONS, INPUTS, check
from streams.worker.changelog import ensure_changelog
from streams.worker.faust_app import changelog_topic


class RefusedError(Exception):
    """The worker must not start. One line per finding."""


def check_start(settings: Settings) -> int:
    """Check the topics and create the changelog if it is missing.

    Returns
    -------
    The partition count of ``canary.inputs``.

    Raises
    ------
    RefusedError : a topic is missing or is not as it must be.
    streams.kafka.UnreachableError : the broker does not answer.
    """
    needed = tuple(f"{settings.topic(name)}: " for name in (INPUTS, COMMANDS, DECISIONS, CONTROL, BASES))
    if findings := [line for line in check(settings) if line.startswith(needed)]:
        raise RefusedError("; ".join(findings))
    inputs, changelog = settings.topic(INPUTS), changelog_topic(settings)
    partitions = len(bounds(settings, inputs))
    stored = ensure_changelog(settings, changelog, partitions=partitions)
    if stored != partitions:
        raise RefusedError(
            f"{changelog}: found {stored} partitions; {inputs} has {partitions}, and they must be equal: "
            "states would be stored where nobody looks for them"
        )
    return partitions
