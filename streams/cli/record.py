"""`serinus record`."""

from __future__ import annotations

import sys

import click

from streams.cli.options import settings_option
from streams.kafka import require_broker
from streams.kafka_reader import Reader, bounds
from streams.offline.recorded import encode_recorded, recorded
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.topics import EVENTS, INPUTS

TOPICS = {"events": EVENTS, "inputs": INPUTS}
POLL_S = 1.0


@click.command()
@click.argument("what", type=click.Choice(list(TOPICS)))
@settings_option
def record(loaded: Loaded, what: str) -> None:
    """Write what a topic holds now to stdout, one JSON line a record, for `serinus replay`.

    `events` are what the services sent; `inputs` are what the worker folded, from which it decides exactly as it did.
    """
    require_broker(loaded.settings)
    lines = _copy(loaded.settings, loaded.settings.topic(TOPICS[what]))
    click.echo(f"{lines:,} records", err=True)


def _copy(settings: Settings, topic: str) -> int:
    """Write every record up to the ends that the partitions have now; returns how many."""
    extents = bounds(settings, topic)
    lines = 0
    with Reader(settings, topic, {number: start for number, (start, _) in extents.items()}) as reader:
        while not reader.caught_up:
            for message in reader.poll(POLL_S):
                number, offset = message.partition() or 0, message.offset() or 0
                if offset >= extents[number][1]:
                    continue
                value = message.value()
                raw = value if isinstance(value, bytes) or value is None else value.encode()
                line = recorded(topic, partition=number, offset=offset, ts=message.timestamp()[1], value=raw)
                sys.stdout.buffer.write(encode_recorded(line) + b"\n")
                lines += 1
    sys.stdout.buffer.flush()
    return lines
