"""Made-up events, and what must be counted of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Producer

SERVICES = ("chat", "code", "search", "vision")
VERSIONS = ("v1", "v2")
SEGMENTS = ("eu", "us")
REASONS = ("stop", "length", "filter")


@dataclass
class Tally:
    """Per service and version: requests, errors, finish reasons; per segment too: latencies."""

    n: dict[tuple[str, str], int] = field(default_factory=dict)
    errors: dict[tuple[str, str], int] = field(default_factory=dict)
    latency_ms: dict[tuple[str, str, str], list[np.ndarray[Any, Any]]] = field(default_factory=dict)
    reasons: dict[tuple[str, str, str], int] = field(default_factory=dict)


def produce(brokers: str, topic: str, *, events: int, ts_ms: int, seed: int, span_ms: int = 30_000) -> Tally:
    """Produce events of four services into the topic's partitions, in order, and say what they add up to.

    Parameters
    ----------
    events : how many; made in batches of distinct numbers.
    ts_ms : the latest event time; the events lie within ``span_ms`` before it.
    seed : of the random numbers.
    """
    rng = np.random.default_rng(seed)
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.num.messages": 20_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 400_000,
        }
    )
    tally = Tally()
    for _ in range(0, events, 20_000):
        size = min(20_000, events)
        _batch(producer, topic, tally, rng, size=size, ts_ms=ts_ms, span_ms=span_ms)
    assert producer.flush(120) == 0
    return tally


def _batch(
    producer: Producer, topic: str, tally: Tally, rng: np.random.Generator, *, size: int, ts_ms: int, span_ms: int
) -> None:
    service, version = rng.integers(0, 4, size), (rng.random(size) < 0.3).astype(int)
    segment, reason = rng.integers(0, 2, size), rng.integers(0, 3, size)
    error = rng.random(size) < np.where(version == 1, 0.03, 0.01)
    latency_ms = np.round(rng.lognormal(5.0, 0.6, size), 3)
    tokens = rng.integers(1, 800, size)
    times = ts_ms - rng.integers(0, span_ms, size)
    columns = (x.tolist() for x in (service, version, segment, reason, error, latency_ms, tokens, times))
    for i, (s, v, g, r, e, ms, tok, ts) in enumerate(zip(*columns, strict=True)):
        event = (
            f'{{"service":"{SERVICES[s]}","version":"{VERSIONS[v]}","segment":"{SEGMENTS[g]}","ts_ms":{ts},'
            f'"error":{"true" if e else "false"},"latency_ms":{ms},"values":{{"tokens_out":{tok}}},'
            f'"labels":{{"finish_reason":"{REASONS[r]}"}}}}'
        )
        while True:
            try:
                producer.produce(topic, event.encode(), partition=i % 4)
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)
    for s, name in enumerate(SERVICES):
        for v, arm in enumerate(VERSIONS):
            mine = (service == s) & (version == v)
            key = (name, arm)
            tally.n[key] = tally.n.get(key, 0) + int(mine.sum())
            tally.errors[key] = tally.errors.get(key, 0) + int(error[mine].sum())
            for g, place in enumerate(SEGMENTS):
                tally.latency_ms.setdefault((*key, place), []).append(latency_ms[mine & (segment == g)])
            for r, label in enumerate(REASONS):
                count = int((mine & (reason == r)).sum())
                tally.reasons[name, arm, label] = tally.reasons.get((name, arm, label), 0) + count


def as_json(**fields: object) -> bytes:
    """One event."""
    return json.dumps(fields).encode()
