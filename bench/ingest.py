"""How fast ingest is, against what it cannot avoid: raw consume, and consume + decode, in one run on a real Kafka.

    python3 -m bench.ingest [--brokers HOST:PORT] [--events 1000000] [--units]

``--units`` gives every event a unit, which is then counted by unit too. Without ``--brokers`` a broker of its own is
started by ``deploy/kafka/local.py`` and stopped again. Prints events/s and ratios, and writes them to
``bench/results/ingest.json`` or ``ingest-units.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.event import InferenceEvent, decode_event, encode_event
from streams.ingest.engine import Engine
from streams.ingest.heap import keep_freed_memory
from streams.ingest.metrics import IngestMetrics
from streams.ingest.settings import IngestSettings
from streams.ingest.source import consumer_properties, records_of, split_errors

PARTITIONS = 4
BATCH = 10_000
RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


@contextmanager
def broker(address: str | None) -> Iterator[str]:
    """The given broker, or one of our own for the time of the run."""
    if address:
        yield address
        return
    with tempfile.TemporaryDirectory() as folder:
        local = [sys.executable, str(ROOT / "deploy/kafka/local.py")]
        place = ["--data", str(Path(folder) / "kafka")]
        started = subprocess.run(
            [*local, "start", "--detach", "--port", "0", *place], check=True, stdout=subprocess.PIPE, text=True
        )
        try:
            yield started.stdout.strip().splitlines()[-1].removeprefix("bootstrap.servers=")
        finally:
            subprocess.run([*local, "stop", "--remove", *place], check=False, stdout=subprocess.DEVNULL)


def events(count: int, *, units: bool = False) -> list[bytes]:
    """Encoded events: four services, two versions, four segments, a latency, one value, one label."""
    rng = random.Random(1)
    now_ms = time.time_ns() // 1_000_000
    return [
        encode_event(
            InferenceEvent(
                service=rng.choice(("chat", "code", "search", "image")),
                version="v2" if rng.random() < 0.1 else "v1",
                ts_ms=now_ms + at % 1000,
                error=rng.random() < 0.01,
                latency_ms=round(rng.lognormvariate(5.2, 0.5), 2),
                values={"tokens_out": float(rng.randrange(1, 900))},
                labels={"finish_reason": "stop" if rng.random() < 0.9 else "length"},
                segment=rng.choice(("eu", "us", "asia", "africa")),
                unit=f"{rng.getrandbits(64):016x}" if units else None,
                epoch=3 if units else None,
                bucket=rng.randrange(1_000_000) if units else None,
            )
        )
        for at in range(count)
    ]


def fill(brokers: str, topic: str, total: int, *, units: bool = False) -> int:
    """Create the topics and write the events; returns the mean size of one in bytes."""
    create(brokers, topic)
    pool = events(20_000, units=units)
    produce(brokers, topic, pool, total)
    return sum(map(len, pool)) // len(pool)


def create(brokers: str, topic: str) -> None:
    """Create the topics of a benchmark."""
    config = {"message.timestamp.type": "LogAppendTime"}
    names = (topic, f"{topic}.inputs", f"{topic}.dead")
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=config) for name in names]
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics(wanted).values():
        future.result()


def produce(brokers: str, topic: str, pool: list[bytes], total: int) -> None:
    """Write so many records, in turn from a pool, in runs over the partitions."""
    producer: Any = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 20,
            "compression.type": "lz4",
            "batch.size": 262_144,
            "queue.buffering.max.messages": 200_000,
        }
    )
    for at in range(total):
        while True:
            try:
                producer.produce(topic, pool[at % len(pool)], partition=at // 500 % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.05)
        if at % 1000 == 0:
            producer.poll(0)
    producer.flush(60)


def timed(settings: IngestSettings, total: int, take: Callable[[list[Any]], None], *, batch: int = BATCH) -> float:
    """Records/s from the first batch to the last, as wall time of one consumer process."""
    consumer: Any = Consumer(consumer_properties(settings, member="bench") | {"group.id": str(uuid.uuid4())})
    consumer.assign([TopicPartition(settings.events_topic, partition, 0) for partition in range(PARTITIONS)])
    seen = 0
    begun_s = first = 0
    started = False
    while seen < total:
        messages, _ = split_errors(consumer.consume(batch, 0.05))
        if not messages:
            continue
        if not started:
            started, first, begun_s = True, len(messages), time.perf_counter_ns()
        take(messages)
        seen += len(messages)
    seconds = (time.perf_counter_ns() - begun_s) / 1e9
    consumer.close()
    return (total - first) / seconds


class _Sent:
    """Acknowledges what it is given: the reports of a backlog are few, and a real producer has a thread of its own."""

    def __init__(self, brokers: str) -> None:
        self.producer: Any = Producer({"bootstrap.servers": brokers, "compression.type": "lz4"})
        self.reports = 0
        self.bytes = 0

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None:
        options = {} if partition is None else {"partition": partition}
        self.producer.produce(topic, value, key=key, **options)
        self.producer.poll(0)
        self.reports += 1
        self.bytes += len(value)


def ingest(settings: IngestSettings, brokers: str) -> tuple[Callable[[list[Any]], None], _Sent]:
    """The whole path, with a flush every 250 ms, producing its reports to the same broker."""
    sent = _Sent(brokers)
    engine = Engine(settings, "bench", sent, IngestMetrics())
    due = [time.monotonic()]

    def take(messages: list[Any]) -> None:
        engine.take(records_of(messages, topic=settings.events_topic, embedded=False))
        now_s = time.monotonic()
        if now_s >= due[0]:
            engine.flush(now_s=now_s, now_ms=time.time_ns() // 1_000_000)
            due[0] = now_s + settings.flush_ms / 1000

    return take, sent


def decode(messages: list[Any]) -> None:
    """What nobody who reads JSON can avoid."""
    values: list[bytes] = [message.value() for message in messages]
    list(map(decode_event, values))


def measure(brokers: str, *, events: int, rounds: int, units: bool = False) -> dict[str, Any]:
    """Fill a topic, read it in each way as often as there are rounds, and delete it."""
    keep_freed_memory()
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    size = fill(brokers, topic, events, units=units)
    settings = settings_of(brokers, topic)
    rates: dict[str, list[float]] = {"consume": [], "consume_decode": [], "ingest": []}
    for _ in range(rounds):
        rates["consume"].append(timed(settings, events, lambda messages: None))
        rates["consume_decode"].append(timed(settings, events, decode))
        take, sent = ingest(settings, brokers)
        rates["ingest"].append(timed(settings, events, take))
        sent.producer.flush(30)
    delete(brokers, topic)
    # Rounds are compared within themselves: a noisy machine slows the neighbours of a measurement alike.
    ratios = [full / plain for full, plain in zip(rates["ingest"], rates["consume_decode"], strict=True)]
    return {
        "events": events,
        "bytes_per_event": size,
        "partitions": PARTITIONS,
        "events_per_s": {name: round(statistics.median(found)) for name, found in rates.items()},
        "rounds": {name: [round(one) for one in found] for name, found in rates.items()},
        "ingest_of_consume_decode": round(statistics.median(ratios), 3),
        "reports": sent.reports,
        "bytes_per_report": sent.bytes // max(1, sent.reports),
        "msgspec": msgspec.__version__,
        "threads": threading.active_count(),
    }


def settings_of(brokers: str, topic: str) -> IngestSettings:
    """Of an ingest that reads a topic of a benchmark."""
    return IngestSettings(
        kafka={"bootstrap.servers": brokers},
        events_topic=topic,
        dead_topic=f"{topic}.dead",
        inputs_topic=f"{topic}.inputs",
        input_partitions=PARTITIONS,
    )


def delete(brokers: str, topic: str) -> None:
    """Delete the topics of a benchmark."""
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.delete_topics([topic, f"{topic}.inputs", f"{topic}.dead"]).values():
        future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--units", action="store_true")
    options = parser.parse_args()
    with broker(options.brokers) as brokers:
        result = measure(brokers, events=options.events, rounds=options.rounds, units=options.units)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / ("ingest-units.json" if options.units else "ingest.json")).write_text(
        json.dumps(result, indent=1) + "\n"
    )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
