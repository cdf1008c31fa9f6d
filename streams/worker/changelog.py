"""The topic behind the worker's table, with a configuration that Faust cannot express."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from streams.kafka import RECORD_BYTES_MAX, UnreachableError, admin, touch
from streams.settings import Settings

_TIMEOUT_S = 15.0

CONFIG = {
    # Keys carry the writer's id, so the keys of past writers never recur and compaction alone keeps them for ever.
    "cleanup.policy": "compact,delete",
    # Longer than windows are kept, and long enough to come back after a weekend.
    "retention.ms": str(7 * 86_400_000),
    # Only closed segments are compacted: with the default of 256 MiB a recovery would read days of them.
    "segment.ms": "300000",
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "max.message.bytes": str(RECORD_BYTES_MAX),
}


def ensure_changelog(settings: Settings, name: str, *, partitions: int) -> int:
    """Create the topic if it is missing.

    Returns
    -------
    How many partitions it has.

    Raises
    ------
    UnreachableError : the broker does not answer or refuses.
    """
    if settings.embedded:
        touch(settings, [name])
    client = admin(settings)
    try:
        found = client.list_topics(timeout=_TIMEOUT_S).topics.get(name)
        if found is not None and found.error is None:
            return len(found.partitions)
        wanted = NewTopic(
            name, num_partitions=partitions, replication_factor=settings.replication_factor, config=CONFIG
        )
        client.create_topics([wanted], request_timeout=_TIMEOUT_S)[name].result()
    except KafkaException as error:
        # Another worker may create it at the same moment.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise UnreachableError(f"Kafka at {settings.brokers}: {name}: {error.args[0].str()}") from error
    return partitions
