"""Emitter and Router over the Kafka protocol, on the broker that librdkafka carries inside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from confluent_kafka import Consumer, Producer

from schemas.packed import is_pack
from serinus import Emitter, Router
from tests.unpacked import unpacked


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Bootstrap servers of an embedded broker that lives as long as the module's tests."""
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    yield ",".join(f"{node.host}:{node.port}" for node in owner.list_topics(timeout=10).brokers.values())
    del owner


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> float:
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s
        time.sleep(0.005)
    return time.monotonic() - started_s


def read(brokers: str, topic: str, count: int) -> list[tuple[bytes | None, dict[str, Any]]]:
    """Events of a topic, each with the key of its record."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    records: list[tuple[bytes | None, dict[str, Any]]] = []
    deadline_s = time.monotonic() + 15
    while len(records) < count and time.monotonic() < deadline_s:
        for message in consumer.consume(count, timeout=0.2):
            if message.error() is None:
                key: Any = message.key()
                value: Any = message.value()
                events = unpacked(value) if is_pack(value) else [json.loads(value)]
                records += [(key, event) for event in events]
    consumer.close()
    return records


def publish(brokers: str, topic: str, records: list[tuple[str, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(10) == 0


def route(**change: Any) -> bytes:
    plain = {
        "type": "route",
        "service": "chat",
        "release_id": "chat-1",
        "epoch": 1,
        "state": "ramping",
        "weights_ppm": {"v1": 0, "v2": 1_000_000},
        "fallback": "v1",
        "salt": "s",
        "rules": [],
        "issued_at_ms": int(time.time() * 1000),
        "lease_ms": 30_000,
    }
    return json.dumps({**plain, **change}).encode()


def emit_500(brokers: str, prefix: str, kind: Literal["packed", "json"]) -> list[tuple[bytes | None, dict[str, Any]]]:
    """Emit events, check the counts, and return what arrived."""
    with Emitter(service="chat", brokers=brokers, topic_prefix=prefix, records=kind) as emitter:
        for number in range(500):
            emitter.emit(version="v2", latency_ms=1.5, values={"n": number}, unit="user-1" if number % 2 else None)
        assert emitter.flush(10) == 0
        stats = emitter.stats()
    assert (stats.queued, stats.in_flight, stats.sent, stats.dropped) == (0, 0, 500, {})
    found = read(brokers, f"{prefix}inference.events", 500)
    assert sorted(event["values"]["n"] for _, event in found) == list(range(500))
    return found


def test_every_event_arrives_once(brokers: str) -> None:
    """What was emitted is on the topic, packed, and the counts agree."""
    found = emit_500(brokers, "once.", "packed")
    units = {event.get("unit") for _, event in found}
    assert (len(units), {key for key, _ in found}) == (2, {None})


def test_every_event_arrives_once_in_json(brokers: str) -> None:
    """The same, one record each, keyed by the hashed unit."""
    for key, event in emit_500(brokers, "json.", "json"):
        assert (key.decode() if key else None) == event.get("unit")


def test_events_that_no_pack_takes_go_alone(brokers: str) -> None:
    """A time far from now, and more names than a pack has room for, leave the others packed and lose nothing."""
    now_ms = int(time.time() * 1000)
    with Emitter(service="chat", brokers=brokers, topic_prefix="alone.") as emitter:
        for number in range(150):
            emitter.emit(version="v2", values={f"n{number}-{at}": 1.0 for at in range(3)})
        emitter.emit(version="v2", values={f"wide-{at}": 1.0 for at in range(300)})
        emitter.emit(version="v2", ts_ms=now_ms - 3_600_000)
        assert emitter.flush(10) == 0
        assert (emitter.stats().sent, emitter.stats().dropped) == (152, {})
    found = read(brokers, "alone.inference.events", 152)
    assert len({name for _, event in found for name in event.get("values", {})}) == 750
    assert min(event["ts_ms"] for _, event in found) == now_ms - 3_600_000


def test_events_wait_a_tenth_of_a_second_for_others(brokers: str) -> None:
    """Few events are sent without a flush, soon, and share a record."""
    with Emitter(service="chat", brokers=brokers, topic_prefix="few.") as emitter:
        started_s = time.monotonic()
        for _ in range(5):
            emitter.emit(version="v2")
        wait_until(lambda: emitter.stats().sent == 5)
        assert time.monotonic() - started_s > 0.05
    assert len(read(brokers, "few.inference.events", 5)) == 5


def test_bad_events_do_not_hold_up_good_ones(brokers: str) -> None:
    """An event that cannot be encoded is dropped by reason, the ones around it are sent."""
    with Emitter(service="chat", brokers=brokers, topic_prefix="mixed.") as emitter:
        for number in range(30):
            emitter.emit(version="v2", latency_ms=float("nan") if number % 3 == 0 else 1.0)
        assert emitter.flush(10) == 0
        assert (emitter.stats().sent, emitter.stats().dropped) == (20, {"invalid_latency_ms": 10})


def test_router_follows_a_topic_that_appears_later(brokers: str) -> None:
    """A router waits for its topic, takes the newest route, ignores other services, and follows within a second."""
    topic = "later.canary.control"
    with Router(service="chat", fallback="v1", brokers=brokers, topic_prefix="later.") as router:
        assert router.choose("user-1") == "v1"
        others = [(f"other-{number}", route(service=f"other-{number}", epoch=50)) for number in range(20)]
        publish(brokers, topic, [*others, ("chat", b"garbage"), ("chat", route())])
        wait_until(lambda: router.choose("user-1") == "v2")
        publish(brokers, topic, [("chat", route(epoch=2, weights_ppm={"v1": 1_000_000}))])
        assert wait_until(lambda: router.choose("user-1") == "v1") < 1
        publish(brokers, topic, [("chat", route(epoch=3))])
        assert wait_until(lambda: router.choose("user-1") == "v2") < 1
        publish(brokers, topic, [("chat", None)])
        assert wait_until(lambda: router.choose("user-1") == "v1") < 1
        records = router.state().records
        assert (records["applied"], records["invalid"], records["tombstone"]) == (3, 1, 1)
        assert router.state().connected


def test_router_that_starts_reads_what_is_retained(brokers: str) -> None:
    """A fresh router takes the last route from the log, but not one whose lease ran out long ago."""
    hour_ago_ms = int(time.time() * 1000) - 3_600_000
    publish(
        brokers, "kept.canary.control", [("chat", route()), ("code", route(service="code", issued_at_ms=hour_ago_ms))]
    )
    with (
        Router(service="chat", fallback="v1", brokers=brokers, topic_prefix="kept.") as chat,
        Router(service="code", fallback="v1", brokers=brokers, topic_prefix="kept.") as code,
    ):
        wait_until(lambda: chat.state().records["applied"] == 1 and code.state().records["applied"] == 1)
        assert (chat.choose("user-1"), code.choose("user-1")) == ("v2", "v1")
        assert "has run out" in code.state().reason


def test_closed_router_keeps_its_lease(brokers: str) -> None:
    """Closing stops the following; what was leased stays leased, and no longer."""
    publish(brokers, "short.canary.control", [("chat", route(lease_ms=900))])
    with Router(service="chat", fallback="v1", brokers=brokers, topic_prefix="short.") as router:
        wait_until(lambda: router.choose("user-1") == "v2")
    assert router.choose("user-1") == "v2"
    assert wait_until(lambda: router.choose("user-1") == "v1") < 1
