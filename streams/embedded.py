"""The embedded broker: the mock cluster that librdkafka carries inside this process, for trials on one machine.

It forgets everything at exit, gives each topic four partitions, and keeps the producers' timestamps.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from confluent_kafka import Producer

from streams import topics
from streams.kafka import touch
from streams.settings import MOCK_PARTITIONS, Settings

START_TIMEOUT_S = 10.0


@contextmanager
def embedded_broker(settings: Settings) -> Iterator[Settings]:
    """Run the mock cluster as long as the block lasts.

    Parameters
    ----------
    settings : as configured; brokers, security and partition counts do not apply to the embedded broker.

    Yields
    ------
    The settings to use inside the block: they name the broker's address. Every topic of the pipeline exists.
    """
    quiet = logging.getLogger("serinus.embedded")
    # The cluster lives inside a client: as long as this producer exists, so does the broker.
    host = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "logger": quiet, "log_level": 0})
    brokers = host.list_topics(timeout=START_TIMEOUT_S).brokers.values()
    inside = msgspec.structs.replace(
        settings,
        brokers=",".join(f"{broker.host}:{broker.port}" for broker in brokers),
        kafka={},
        embedded=True,
        replication_factor=1,
        events_partitions=MOCK_PARTITIONS,
        inputs_partitions=MOCK_PARTITIONS,
    )
    touch(inside, [topic.name for topic in topics.topics(inside)])
    try:
        yield inside
    finally:
        del host
