"""`serinus up`: the whole pipeline on one machine, as one tree of processes."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext

import click
import structlog

from streams import topics
from streams.cli.options import settings_option
from streams.cli.table import EXIT_DONE
from streams.embedded import embedded_broker
from streams.environment import environment_of
from streams.kafka import UnreachableError, wait_for_broker
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.supervisor import Command, Supervisor, stop_on_signals

PREPARE_TRIES = 5
PREPARE_PAUSE_S = 2.0

_log = structlog.stdlib.get_logger("serinus.up")


@click.command()
@settings_option
@click.option("--embedded", is_flag=True, help="Bring the broker along: nothing to install, all forgotten at exit.")
def up(loaded: Loaded, embedded: bool) -> int:
    """Run ingest and worker until Ctrl-C. Waits for Kafka, creates missing topics, restarts what dies.

    Where the settings allow that anything is called, hooks are carried out too.
    """
    stop = threading.Event()
    stop_on_signals(stop)
    settings = loaded.settings
    with embedded_broker(settings) if embedded else nullcontext(settings) as inside:
        if not wait_for_broker(inside, stop) or not prepare_topics(inside, stop):
            return EXIT_DONE
        _log.info(f"Kafka at {inside.brokers}; HTTP at http://{inside.http_host}:{inside.http_port}")
        parts = ["ingest", "worker", *(["hooks"] if inside.calls_out else [])]
        return Supervisor([child(inside, part) for part in parts], stop).run()


def child(settings: Settings, name: str) -> Command:
    """The command that runs one part of the pipeline as a child of this process."""
    argv = (sys.executable, "-m", "streams.cli", name, "--parent", str(os.getpid()))
    return Command(name, argv, environment_of(settings, os.environ))


def prepare_topics(settings: Settings, stop: threading.Event) -> bool:
    """Create what is missing and say what is wrong; False when ``stop`` was set.

    A broker that has just started answers before it can create topics, so this tries a few times.
    """
    for left in reversed(range(PREPARE_TRIES)):
        try:
            created = [name for name, is_new in topics.create(settings) if is_new]
            findings = topics.check(settings)
            break
        except UnreachableError as error:
            if not left:
                raise
            _log.warning(f"{error}; trying again")
            if stop.wait(PREPARE_PAUSE_S):
                return False
    if created:
        _log.info(f"created {', '.join(created)}")
    for finding in findings:
        _log.warning(finding)
    return True
