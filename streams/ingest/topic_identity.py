"""The id of the source topic: a topic that was deleted and created again is another one, and starts again at 0."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.ingest.settings import IngestSettings

EMBEDDED: Final = "embedded"
_TIMEOUT_S: Final = 10.0


def topic_identity(settings: IngestSettings) -> str:
    """The broker's id of the events topic, as text.

    Raises
    ------
    KafkaException : when the broker or the topic is not there. The embedded broker knows no ids and gets a fixed one.
    """
    admin: Any = AdminClient(dict(settings.kafka))
    topic = settings.events_topic
    if settings.embedded:
        admin.list_topics(topic, timeout=_TIMEOUT_S)
        return EMBEDDED
    futures = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)
    identity = str(futures[topic].result(timeout=_TIMEOUT_S + 5).topic_id)
    if not identity.strip("A="):  # the id of no topic: a broker older than topic ids
        raise KafkaException(f"the broker gives topic {topic} no id; Apache Kafka 2.8 or newer is needed")
    return identity
