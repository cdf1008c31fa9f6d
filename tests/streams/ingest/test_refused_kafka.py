"""A record that the broker refuses for good, on a real Kafka: nothing that was sent after it is written."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.ingest.outbox import DeliveryError, KafkaOutbox
from streams.ingest.settings import IngestSettings

pytestmark = pytest.mark.kafka


def values(brokers: str, topic: str) -> list[bytes]:
    consumer: Any = Consumer({"bootstrap.servers": brokers, "group.id": "reading"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = [message.value() for message in consumer.consume(10, 3.0)]
    consumer.close()
    return found


@pytest.mark.parametrize("wait_s", [0.0, 0.2])
def test_nothing_is_written_behind_a_refused_record(kafka_broker: str, topic_prefix: str, wait_s: float) -> None:
    """Whether the next records are in flight already or sent after the refusal, which nobody has heard of yet."""
    topic = topic_prefix + "inputs"
    new = NewTopic(topic, num_partitions=1, replication_factor=1, config={"max.message.bytes": "1500"})
    admin: Any = AdminClient({"bootstrap.servers": kafka_broker})
    admin.create_topics([new])[topic].result()
    acknowledged: list[int] = []
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": kafka_broker, "log_level": 0}
    outbox = KafkaOutbox(IngestSettings(kafka=client, input_partitions=1), acknowledged.append)
    outbox.send(topic, b"before", number=0, partition=0, key=None)
    assert outbox.flush(10)
    outbox.send(topic, os.urandom(3_000), number=1, partition=0, key=None)
    time.sleep(wait_s)
    with pytest.raises(DeliveryError, match="too large"):
        for number in range(2, 200):
            outbox.send(topic, b"behind", number=number, partition=0, key=None)
            outbox.poll(0.05)
    with pytest.raises(DeliveryError):
        outbox.flush(5)
    assert acknowledged == [0]
    assert values(kafka_broker, topic) == [b"before"]
