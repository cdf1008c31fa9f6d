"""The topics that every peer reads, and how many events of each key and pane are in them."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.peers.shape import END, PANE_MS, PARTITIONS
from schemas.event import InferenceEvent, encode_event
from serinus.packer import Packer

PANES = 6
POOL = 4_000
"""Different events of each pane; they are repeated until there are enough."""

PACK = 200
"""Events of a packed record: what a client sends of 2,000 requests a second and service."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A topic with events.

    Parameters
    ----------
    total : events in it.
    counts : n by ``service|version|segment|pane``.
    """

    topic: str
    total: int
    counts: dict[str, int]


def pool(pane: int) -> list[InferenceEvent]:
    """Events of one pane, in no order of time: four services, two versions, four segments, a value, a label."""
    rng = random.Random(pane)
    return [
        InferenceEvent(
            service=rng.choice(("chat", "code", "search", "image")),
            version="v2" if rng.random() < 0.1 else "v1",
            ts_ms=pane * PANE_MS + rng.randrange(PANE_MS),
            error=rng.random() < 0.01,
            latency_ms=round(rng.lognormvariate(5.2, 0.5), 2),
            values={"tokens_out": float(rng.randrange(1, 900))},
            labels={"finish_reason": "stop" if rng.random() < 0.9 else "length"},
            segment=rng.choice(("eu", "us", "asia", "africa")),
        )
        for _ in range(POOL)
    ]


def key_of(event: InferenceEvent) -> str:
    """The key by which everybody aggregates; it is the record's key too, so that no peer has to send all anew."""
    return f"{event.service}|{event.version}|{event.segment}"


def packs(events: list[InferenceEvent]) -> Iterator[bytes]:
    """The same events as packed records, each of one service."""
    by_service: dict[str, list[Any]] = {}
    for one in events:
        row = (one.version, one.ts_ms, one.kind, one.error, one.latency_ms, one.values, one.labels, one.segment)
        by_service.setdefault(one.service, []).append((*row, None, None, None))
    for service, rows in by_service.items():
        packer = Packer(service, hash_unit=str)
        for at in range(0, len(rows), PACK):
            yield packer.pack(rows[at : at + PACK])


def fill(brokers: str, topic: str, events: int, *, packed: bool = False) -> Filled:
    """Make a topic, and one for reports, and write so many events pane after pane, then a late one per partition."""
    _create(brokers, topic, f"{topic}.reports")
    producer = _producer(brokers)
    passes = max(1, round(events / (PANES * POOL)))
    first_pane = time.time_ns() // 1_000_000 // PANE_MS - 2 * PANES
    counts: Counter[str] = Counter()
    for pane in range(first_pane, first_pane + PANES):
        drawn = pool(pane)
        counts.update(f"{key_of(one)}|{pane}" for one in drawn)
        if packed:
            records: list[tuple[bytes | None, bytes]] = [(None, one) for one in packs(drawn)]
        else:
            records = [(key_of(one).encode(), encode_event(one)) for one in drawn]
        for _ in range(passes):
            for at, (key, value) in enumerate(records):
                _send(producer, topic, value, key=key, partition=at % PARTITIONS if packed else None)
        # A producer's partitions overtake each other within what is in flight: no pane may begin before the last ended.
        producer.flush(120)
    last = pool(first_pane + 2 * PANES)
    for partition in range(PARTITIONS):
        one = last[partition]
        one.service, one.version, one.segment = END, str(partition), ""
        _send(producer, topic, encode_event(one), key=key_of(one).encode(), partition=partition)
    producer.flush(120)
    found = {key: n * passes for key, n in counts.items()}
    return Filled(topic, sum(found.values()) + PARTITIONS, found)


def _create(brokers: str, *topics: str) -> None:
    """Topics with the partitions and the time stamps that ingest asks for."""
    config = {"message.timestamp.type": "LogAppendTime"}
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=config) for name in topics]
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 4})
    for future in admin.create_topics(wanted).values():
        future.result()


def _producer(brokers: str) -> Any:
    return Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 20,
            "compression.type": "lz4",
            "batch.size": 262_144,
            "queue.buffering.max.messages": 200_000,
            "partitioner": "murmur2_random",
        }
    )


def _send(producer: Any, topic: str, value: bytes, *, key: bytes | None, partition: int | None) -> None:
    options = {} if partition is None else {"partition": partition}
    while True:
        try:
            producer.produce(topic, value, key=key, **options)
            break
        except BufferError:
            producer.poll(0.05)
    producer.poll(0)
