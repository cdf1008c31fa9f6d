"""Kafka clients, the reader, the topics and the embedded broker, together on the embedded broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from streams import topics
from streams.embedded import embedded_broker
from streams.kafka import producer, require_broker, touch
from streams.kafka_reader import Reader, bounds, read_to_end
from streams.service_partition import partition_of
from streams.settings import MOCK_PARTITIONS, Settings


@pytest.fixture(scope="module")
def broker() -> Iterator[Settings]:
    with embedded_broker(Settings(topic_prefix="t-", kafka={"security.protocol": "SASL_SSL"})) as settings:
        yield settings


def append(client: Producer, topic: str, count: int) -> None:
    for number in range(count):
        client.produce(topic, str(number).encode(), f"service-{number}".encode())
    assert client.flush(10) == 0


def test_every_topic_exists_with_four_partitions(broker: Settings) -> None:
    """Inside the block all seven topics are there under their prefix, and the check finds nothing wrong."""
    for topic in topics.topics(broker):
        assert topic.name.startswith("t-")
        assert bounds(broker, topic.name).keys() == set(range(MOCK_PARTITIONS))
    assert topics.check(broker) == []
    assert [created for _, created in topics.create(broker)] == [False] * 7


def test_security_of_the_real_broker_does_not_apply(broker: Settings) -> None:
    """A user with SASL settings in a file can try the embedded broker without removing them."""
    assert broker.kafka == {} and broker.embedded
    require_broker(broker)


def test_a_keyed_record_goes_where_java_and_faust_put_it(broker: Settings) -> None:
    """Our producers put a key on the murmur2 partition: with another one a service would live on two workers."""
    append(producer(broker, "test"), "keyed", 50)
    records = read_to_end(broker, "keyed")
    assert len(records) == 50
    for record in records:
        assert record.partition() == partition_of((record.key() or b"").decode(), MOCK_PARTITIONS)
    assert {record.partition() for record in records} == set(range(MOCK_PARTITIONS))


def test_read_to_end_returns_every_record_once_in_order(broker: Settings) -> None:
    """Nothing is missing or doubled, and each partition keeps its order."""
    append(producer(broker, "test"), "all", 3_000)
    records = read_to_end(broker, "all")
    assert sorted(int(record.value() or b"") for record in records) == list(range(3_000))
    for number in range(MOCK_PARTITIONS):
        offsets = [record.offset() or 0 for record in records if record.partition() == number]
        assert offsets == list(range(len(offsets)))


def test_reading_an_empty_topic_ends(broker: Settings) -> None:
    """A topic without records is read at once, not waited for."""
    assert read_to_end(broker, broker.topic(topics.CONTROL), timeout_s=5) == []


def test_reader_starts_where_it_is_told_and_goes_on(broker: Settings) -> None:
    """A reader placed at the end sees exactly the records that are appended afterwards."""
    client = producer(broker, "test")
    append(client, "tail", 100)
    ends = {number: high for number, (_, high) in bounds(broker, "tail").items()}
    with Reader(broker, "tail", ends) as reader:
        append(client, "tail", 7)
        seen: list[bytes | None] = []
        for _ in range(100):
            seen += [record.value() for record in reader.poll(0.2)]
            if len(seen) >= 7:
                break
    assert sorted(seen, key=str) == [str(number).encode() for number in range(7)]


def test_touched_topics_exist_at_once(broker: Settings) -> None:
    """Faust's changelogs are made by touching them: after it their partitions are known to every client."""
    touch(broker, ["changelog-a", "changelog-b"])
    assert bounds(broker, "changelog-b").keys() == set(range(MOCK_PARTITIONS))
