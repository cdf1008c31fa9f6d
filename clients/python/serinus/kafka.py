"""The one file that touches confluent-kafka: building clients, and what their errors mean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from serinus.quiet_log import QuietFilter, QuietLog

Config = Mapping[str, str | int | float | bool]

__all__ = [
    "Config",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "build_consumer",
    "build_producer",
    "check_brokers",
    "from_beginning",
    "partitions_of",
]

_LIBRDKAFKA_LOGGER = logging.getLogger("serinus.kafka")
if not any(isinstance(each, QuietFilter) for each in _LIBRDKAFKA_LOGGER.filters):
    _LIBRDKAFKA_LOGGER.addFilter(QuietFilter())

_RECONNECT: Config = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 2_000}


def check_brokers(brokers: str) -> str:
    """Return the broker list, or raise ValueError if it is not a non-empty string."""
    if not isinstance(brokers, str) or not brokers.strip():
        raise ValueError(f"brokers is {brokers!r}; expected 'host:port,host:port'")
    return brokers


def build_producer(brokers: str, config: Config, *, log: QuietLog) -> Producer:
    """Build a producer; it connects in the background, so a broker that is down is no error here.

    Raises ValueError for a property that librdkafka does not know or a value that it refuses.
    """
    defaults: Config = {
        "linger.ms": 20,
        "compression.type": "lz4",
        "acks": "all",
        # Without it, a retry after a lost acknowledgement writes the event twice.
        "enable.idempotence": str(config.get("acks", "all")) in ("all", "-1"),
        "partitioner": "murmur2_random",
        "message.timeout.ms": 120_000,
        "queue.buffering.max.kbytes": 65_536,
    }
    merged = {**_RECONNECT, **defaults, **config, "bootstrap.servers": brokers}
    try:
        return Producer({**merged, "error_cb": _error_callback(log, brokers)}, logger=_LIBRDKAFKA_LOGGER)
    except (KafkaException, TypeError, ValueError) as error:
        raise ValueError(f"config: librdkafka refuses it: {error}") from error


def build_consumer(brokers: str, config: Config, *, log: QuietLog) -> Consumer:
    """Build a consumer that joins no group and commits nothing.

    Raises ValueError for a property that librdkafka does not know or a value that it refuses.
    """
    defaults: Config = {
        # librdkafka wants a group id of every consumer, also of one that only assigns.
        "group.id": "serinus-router",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
    }
    merged = {**_RECONNECT, **defaults, **config, "bootstrap.servers": brokers}
    try:
        return Consumer({**merged, "error_cb": _error_callback(log, brokers)}, logger=_LIBRDKAFKA_LOGGER)
    except (KafkaException, TypeError, ValueError) as error:
        raise ValueError(f"config: librdkafka refuses it: {error}") from error


def partitions_of(consumer: Consumer, topic: str, timeout_s: float) -> list[int]:
    """Return the partitions of a topic, none if it does not exist; KafkaException if no broker answers in time."""
    found = consumer.list_topics(topic, timeout=timeout_s).topics.get(topic)
    if found is None or found.error is not None:
        return []
    return sorted(found.partitions)


def from_beginning(topic: str, partitions: list[int]) -> list[TopicPartition]:
    """Return assignments that read the partitions from their beginning."""
    return [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions]


def _error_callback(log: QuietLog, brokers: str) -> Callable[[KafkaError], None]:
    def report(error: KafkaError) -> None:
        log.warning(error.name(), f"Kafka at {brokers}: {error.name()}: {error.str()}")

    return report
