"""The aggregation by ingest, whole, as the peers do it: arguments BROKERS TOPIC EVENTS FOLDER."""

from __future__ import annotations

import sys
import time
import uuid
from collections import Counter
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.peers.meter import Meter
from bench.peers.shape import END, PARTITIONS
from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest.engine import Engine
from streams.ingest.metrics import IngestMetrics
from streams.ingest.settings import IngestSettings
from streams.ingest.source import consumer_properties, records_of, split_errors


class _Metered(IngestMetrics):
    """Says how many events there were so far: a packed record has many."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0

    def took(self, events: int) -> None:
        super().took(events)
        self.events += events


class _Reports:
    """Sends what ingest reports, and keeps it to be summed up afterwards."""

    def __init__(self, brokers: str) -> None:
        self.producer: Any = Producer({"bootstrap.servers": brokers, "compression.type": "lz4"})
        self._sent: list[tuple[int | None, bytes]] = []

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None:
        options = {} if partition is None else {"partition": partition}
        self.producer.produce(topic, value, key=key, **options)
        self.producer.poll(0)
        self._sent.append((partition, value))

    def counts(self) -> Counter[str]:
        """n by key and pane. Of the reports of one slice the last is the longest prefix."""
        last: dict[tuple[int | None, int, int], Report] = {}
        for partition, value in self._sent:
            report = decode_input(value)
            assert isinstance(report, Report)
            last[partition, report.source, report.slice_no] = report
        found: Counter[str] = Counter()
        for report in last.values():
            for cell in report.cells:
                if cell.service != END:
                    found[f"{cell.service}|{cell.version}|{cell.segment}|{cell.pane}"] += cell.n
        return found


def main() -> None:
    brokers, topic, events, _ = sys.argv[1:]
    settings = IngestSettings(
        kafka={"bootstrap.servers": brokers},
        events_topic=topic,
        dead_topic=f"{topic}.reports",
        inputs_topic=f"{topic}.reports",
        input_partitions=PARTITIONS,
    )
    meter, metrics, reports = Meter(int(events)), _Metered(), _Reports(brokers)
    engine = Engine(settings, "peers", reports, metrics)
    consumer: Any = Consumer(consumer_properties(settings, member="bench") | {"group.id": str(uuid.uuid4())})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    seen, due_s, done = 0, time.monotonic(), False
    while not done:
        messages, _ = split_errors(consumer.consume(settings.batch_size, 0.05))
        if messages:
            engine.take(records_of(messages, topic=topic, embedded=False))
            done = meter.saw(metrics.events - seen)
            seen = metrics.events
        now_s = time.monotonic()
        if done or now_s >= due_s:
            engine.flush(now_s=now_s, now_ms=time.time_ns() // 1_000_000, final=done)
            due_s = now_s + settings.flush_ms / 1000
    consumer.close()
    reports.producer.flush(30)
    print(meter.report(reports.counts()))


if __name__ == "__main__":
    main()
