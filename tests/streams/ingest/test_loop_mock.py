"""The whole loop against librdkafka's mock cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from schemas.dead_letter import decode_dead_letter
from schemas.event import encode_event
from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest.process import EXIT_DEPENDENCY, EXIT_OK, EXIT_WRONG_INPUT, run_ingest
from streams.ingest.settings import IngestSettings
from streams.service_partition import partition_of
from tests.streams.ingest.samples import event

PARTITIONS = 4


@pytest.fixture
def brokers() -> Iterator[str]:
    """A mock cluster that lives as long as the client that carries it; its topics exist once touched."""
    host: Any = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    address = next(iter(host.list_topics(timeout=10).brokers.values()))
    servers = f"{address.host}:{address.port}"
    for topic in ("inference.events", "inference.events.dead", "canary.inputs"):
        host.list_topics(topic, timeout=10)
    yield servers
    host.flush(1)


def settings(servers: str, *, embedded: bool = True) -> IngestSettings:
    return IngestSettings(
        kafka={"bootstrap.servers": servers, "log_level": 0}, input_partitions=PARTITIONS, embedded=embedded
    )


def produce(servers: str, raws: list[bytes], *, log_ms: int) -> None:
    producer: Any = Producer({"bootstrap.servers": servers})
    for at, raw in enumerate(raws):
        producer.produce("inference.events", raw, partition=at % PARTITIONS, timestamp=log_ms + at, key=f"k{at}")
    assert producer.flush(10) == 0


def read(servers: str, topic: str, *, until: float, enough: Any) -> list[Any]:
    consumer: Any = Consumer({"bootstrap.servers": servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    messages: list[Any] = []
    while time.monotonic() < until and not enough(messages):
        messages += [one for one in consumer.consume(1000, 0.1) if one.error() is None]
    consumer.close()
    return messages


def longest(messages: list[Any]) -> dict[tuple[int, int, int], Report]:
    best: dict[tuple[int, int, int], Report] = {}
    for one in messages:
        report = decode_input(one.value())
        assert isinstance(report, Report)
        key = (one.partition(), report.source, report.slice_no)
        if key not in best or report.through_offset > best[key].through_offset:
            best[key] = report
    return best


def counted(messages: list[Any]) -> int:
    return sum(cell.n for report in longest(messages).values() for cell in report.cells)


def all_counted(total: int, messages: list[Any]) -> bool:
    return counted(messages) == total


def run(servers: str, stop: threading.Event, *, embedded: bool = True) -> tuple[threading.Thread, list[int]]:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_ingest(settings(servers, embedded=embedded), stop)))
    thread.start()
    return thread, codes


def test_events_become_reports_and_restarts_count_nothing_twice(brokers: str) -> None:
    """Every event is in exactly one longest prefix on the partition of its service, over two runs of ingest."""
    services = ["chat", "code", "search", "image", "voice"]
    base_ms = 1_763_632_800_000
    total = 0
    for part in range(2):
        raws = [encode_event(event(service=services[i % 5], ts_ms=base_ms + i)) for i in range(2000)]
        raws[7] = b"not json"
        produce(brokers, raws, log_ms=base_ms + 500 * part)
        total += len(raws) - 1
        stop = threading.Event()
        thread, codes = run(brokers, stop)
        want = total
        read(
            brokers,
            "canary.inputs",
            until=time.monotonic() + 20,
            enough=lambda found, want=want: counted(found) == want,
        )
        stop.set()
        begun_s = time.monotonic()
        thread.join(10)
        assert time.monotonic() - begun_s < 5
        assert codes == [EXIT_OK]
    messages = read(brokers, "canary.inputs", until=time.monotonic() + 1, enough=lambda _: False)
    assert counted(messages) == total
    for (partition, _, _), report in longest(messages).items():
        assert {partition_of(cell.service, PARTITIONS) for cell in report.cells} <= {partition}
    dead = read(brokers, "inference.events.dead", until=time.monotonic() + 10, enough=lambda found: len(found) >= 2)
    letters = [decode_dead_letter(one.value()) for one in dead]
    assert {(one.reason, one.path) for one in letters} == {("not JSON", "$")}
    assert {one.key() for one in dead} == {b"k7"}
    assert len({(one.partition, one.offset) for one in letters}) == 2


def test_a_create_time_topic_is_refused(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Producers' timestamps are refused with exit code 2 before anything is counted."""
    monkeypatch.setattr("streams.ingest.process.topic_identity", lambda _: "some-id")
    # The mock cluster knows no ids.
    monkeypatch.setattr("streams.ingest.loop.TopicIds", lambda _: None)
    produce(brokers, [encode_event(event())], log_ms=1_763_632_800_000)
    thread, codes = run(brokers, threading.Event(), embedded=False)
    thread.join(20)
    assert codes == [EXIT_WRONG_INPUT]


def test_a_delivery_error_ends_without_a_commit(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When one report cannot be delivered the process ends with exit code 3 and the group has no commit."""
    monkeypatch.setattr("streams.ingest.outbox.REPORT_BYTES_MAX", 1000 - 64 * 1024)
    raws = [encode_event(event(ts_ms=1_763_632_800_000, values={f"{i}" * 60: float(i)})) for i in range(80)]
    produce(brokers, raws, log_ms=1_763_632_800_000)
    thread, codes = run(brokers, threading.Event())
    thread.join(20)
    assert codes == [EXIT_DEPENDENCY]
    consumer: Any = Consumer({"bootstrap.servers": brokers, "group.id": "serinus-ingest"})
    places = [TopicPartition("inference.events", partition) for partition in range(PARTITIONS)]
    assert {one.offset for one in consumer.committed(places, timeout=10)} == {-1001}
    consumer.close()


def test_a_broker_that_is_away_stops_nothing_but_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker ingest waits, and a stop ends it at once with 0."""
    monkeypatch.setattr("streams.ingest.topic_identity._TIMEOUT_S", 0.3)
    stop = threading.Event()
    thread, codes = run("127.0.0.1:1", stop)
    time.sleep(1)
    assert thread.is_alive()
    stop.set()
    thread.join(5)
    assert codes == [EXIT_OK]


def test_a_consumer_that_failed_for_good_is_replaced(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fenced member never reads again: ingest takes its place anew, and each event is counted once."""
    fatal: Any = Message(topic="inference.events", error=KafkaError(KafkaError._FATAL, "fenced", fatal=True))
    made: list[Any] = []

    class OnceFenced(Consumer):
        def __init__(self, properties: dict[str, Any]) -> None:
            super().__init__(properties)
            made.append(properties["group.instance.id"])
            self.asked = 0

        def consume(self, *args: Any) -> list[Message]:
            self.asked += 1
            return [fatal] if len(made) == 1 and self.asked > 40 else super().consume(*args)

    monkeypatch.setattr("streams.ingest.loop.Consumer", OnceFenced)
    stop = threading.Event()
    thread, codes = run(brokers, stop)
    for part in range(2):
        produce(brokers, [encode_event(event())] * 50, log_ms=1_763_632_800_000 + part)
        until = time.monotonic() + 30
        while len(made) < 2 and time.monotonic() < until:
            time.sleep(0.1)
    read(brokers, "canary.inputs", until=time.monotonic() + 20, enough=lambda found: counted(found) == 100)
    stop.set()
    thread.join(20)
    messages = read(brokers, "canary.inputs", until=time.monotonic() + 5, enough=lambda found: counted(found) >= 100)
    assert counted(messages) == 100
    assert codes == [EXIT_OK]
    assert made == [made[0]] * 2


def test_a_consumer_that_fails_again_at_once_ends_ingest(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new consumer does not cure is for whoever restarts the process: exit code 3."""
    fatal: Any = Message(topic="inference.events", error=KafkaError(KafkaError._FATAL, "fenced", fatal=True))

    class Fenced(Consumer):
        def consume(self, *_: Any) -> list[Message]:
            return [fatal]

    monkeypatch.setattr("streams.ingest.loop.Consumer", Fenced)
    thread, codes = run(brokers, threading.Event())
    thread.join(20)
    assert codes == [EXIT_DEPENDENCY]
