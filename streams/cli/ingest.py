"""`serinus ingest`."""

from __future__ import annotations

import threading

import click

from streams.cli.options import parent_option, settings_option
from streams.cli.table import EXIT_DONE
from streams.ingest.heap import keep_freed_memory
from streams.ingest.process import run_ingest
from streams.ingest.settings import IngestSettings
from streams.kafka import client_properties, wait_for_broker
from streams.kafka_reader import bounds
from streams.settings import Settings
from streams.settings_load import Loaded, SettingsError
from streams.supervisor import follow_parent, stop_on_signals
from streams.topics import BASES, EVENTS, EVENTS_DEAD, INPUTS


@click.command()
@settings_option
@parent_option
def ingest(loaded: Loaded, parent: int | None) -> int:
    """Run ingest until Ctrl-C: events in, reports out."""
    keep_freed_memory()
    stop = threading.Event()
    stop_on_signals(stop)
    follow_parent(parent)
    if not wait_for_broker(loaded.settings, stop):
        return EXIT_DONE
    return run_ingest(ingest_settings(loaded.settings), stop)


def ingest_settings(settings: Settings) -> IngestSettings:
    """The slice of the configuration that ingest needs.

    Raises
    ------
    SettingsError : ``canary.inputs`` has another partition count than the configuration says. A report for a partition
        that no worker expects would be lost.
    UnreachableError : Kafka does not answer, or the topic is missing.
    """
    inputs = settings.topic(INPUTS)
    found = len(bounds(settings, inputs))
    if found != settings.inputs_partitions:
        raise SettingsError(
            f"inputs_partitions: found {settings.inputs_partitions}; allowed is {found}, which {inputs} has"
        )
    return IngestSettings(
        kafka=client_properties(settings, "serinus-ingest"),
        session_timeout_ms=int(settings.session_timeout),
        events_topic=settings.topic(EVENTS),
        dead_topic=settings.topic(EVENTS_DEAD),
        inputs_topic=inputs,
        bases_topic=settings.topic(BASES),
        group_id=settings.group("ingest"),
        input_partitions=found,
        services=settings.listed_services,
        http_host=settings.http_host,
        http_port=settings.ingest_http_port,
        embedded=settings.embedded,
    )
