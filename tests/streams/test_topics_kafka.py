"""Topics and waiting on a real Kafka."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka.cimpl import NewTopic

from streams import topics
from streams.kafka import UnreachableError, admin, producer
from streams.kafka_reader import bounds, read_to_end
from streams.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka_broker: str, topic_prefix: str) -> Settings:
    return Settings(brokers=kafka_broker, topic_prefix=topic_prefix, inputs_partitions=3, events_partitions=2)


def test_created_topics_pass_the_check_and_creating_again_changes_nothing(settings: Settings) -> None:
    """`create` makes exactly what `check` asks for, and is idempotent."""
    count = len(topics.topics(settings))
    assert len(topics.check(settings)) == count
    assert [created for _, created in topics.create(settings)] == [True] * count
    assert topics.check(settings) == []
    assert [created for _, created in topics.create(settings)] == [False] * count
    assert len(bounds(settings, settings.topic(topics.INPUTS))) == 3
    assert len(bounds(settings, settings.topic(topics.EVENTS))) == 2


def test_a_topic_made_by_somebody_else_is_left_and_its_faults_are_found(settings: Settings) -> None:
    """A topic with the broker's defaults is not touched; time, size and partitions that would break us are named."""
    inputs = settings.topic(topics.INPUTS)
    client = admin(settings)
    client.create_topics([NewTopic(inputs, num_partitions=1)])[inputs].result(10)
    assert dict(topics.create(settings))[inputs] is False
    findings = topics.check(settings)
    assert all(finding.startswith(f"{inputs}: ") for finding in findings)
    assert any("found 1 partitions; inputs_partitions says 3" in finding for finding in findings)
    assert any("message.timestamp.type: found CreateTime; needed is LogAppendTime" in finding for finding in findings)


def test_more_replicas_than_brokers_is_the_brokers_refusal(settings: Settings) -> None:
    """What the broker refuses is said in one line with its reason."""
    with pytest.raises(UnreachableError, match=r"refused to create .*[Rr]eplication"):
        topics.create(msgspec.structs.replace(settings, replication_factor=7))


def test_a_report_of_ten_megabytes_fits(settings: Settings) -> None:
    """The largest record that producers may write is one that canary.inputs takes and readers read."""
    topics.create(settings)
    name = settings.topic(topics.INPUTS)
    client = producer(settings, "test", compression_type="none")
    client.produce(name, b"x" * 9_900_000, partition=0)
    assert client.flush(30) == 0
    [record] = read_to_end(settings, name)
    assert len(record.value() or b"") == 9_900_000


def test_a_missing_topic_is_named(settings: Settings) -> None:
    """Reading a topic that does not exist says which and how to make it."""
    with pytest.raises(UnreachableError, match=r"has no topic .*canary\.control; `serinus topics create` makes it"):
        read_to_end(settings, settings.topic(topics.CONTROL))
