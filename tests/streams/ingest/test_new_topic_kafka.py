"""A source topic that is deleted and created anew under a running ingest, on a real Kafka."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.event import encode_event
from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest.process import EXIT_DEPENDENCY, EXIT_OK, run_ingest
from streams.ingest.settings import IngestSettings
from streams.ingest.topic_identity import topic_identity
from tests.streams.ingest.samples import event

pytestmark = pytest.mark.kafka


def create(admin: Any, topic: str) -> None:
    """Create it, as soon as one of that name is gone."""
    new = NewTopic(topic, num_partitions=1, replication_factor=1, config={"message.timestamp.type": "LogAppendTime"})
    for _ in range(100):
        try:
            admin.create_topics([new])[topic].result()
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"{topic} is not deleted")


def produce(brokers: str, topic: str, events: int) -> None:
    producer: Any = Producer({"bootstrap.servers": brokers})
    for _ in range(events):
        producer.produce(topic, encode_event(event(ts_ms=time.time_ns() // 1_000_000)), partition=0)
    assert producer.flush(10) == 0


def counted(brokers: str, topic: str) -> dict[str, int]:
    """Events by topic id, from the longest prefixes."""
    consumer: Any = Consumer({"bootstrap.servers": brokers, "group.id": "counting"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    longest: dict[tuple[str, int], Report] = {}
    while messages := consumer.consume(1000, 3.0):
        for message in messages:
            report = decode_input(message.value())
            assert isinstance(report, Report)
            held = longest.setdefault((report.topic_id, report.slice_no), report)
            if report.through_offset > held.through_offset:
                longest[report.topic_id, report.slice_no] = report
    consumer.close()
    found: dict[str, int] = {}
    for (topic_id, _), report in longest.items():
        found[topic_id] = found.get(topic_id, 0) + sum(cell.n for cell in report.cells)
    return found


def test_a_topic_created_anew_ends_ingest_and_is_read_from_its_beginning(kafka_broker: str, topic_prefix: str) -> None:
    """An idle ingest does not call the new topic by the old one's id; a commit of the old one skips nothing."""
    names = {name: topic_prefix + name for name in ("events", "dead", "inputs")}
    settings = IngestSettings(
        kafka={"bootstrap.servers": kafka_broker, "log_level": 0},
        events_topic=names["events"],
        dead_topic=names["dead"],
        inputs_topic=names["inputs"],
        group_id=topic_prefix + "ingest",
        input_partitions=1,
    )
    admin: Any = AdminClient({"bootstrap.servers": kafka_broker})
    for name in names.values():
        create(admin, name)
    produce(kafka_broker, names["events"], 10)
    old_id, codes = topic_identity(settings), []
    first = threading.Thread(target=lambda: codes.append(run_ingest(settings, threading.Event())))
    first.start()
    time.sleep(4)
    produce(kafka_broker, names["events"], 3)
    time.sleep(2)
    admin.delete_topics([names["events"]])[names["events"]].result()
    create(admin, names["events"])
    first.join(30)
    assert codes == [EXIT_DEPENDENCY]
    produce(kafka_broker, names["events"], 25)
    stop = threading.Event()
    second = threading.Thread(target=lambda: codes.append(run_ingest(settings, stop)))
    second.start()
    time.sleep(5)
    stop.set()
    second.join(30)
    assert codes[-1] == EXIT_OK
    assert counted(kafka_broker, names["inputs"]) == {old_id: 13, topic_identity(settings): 25}
