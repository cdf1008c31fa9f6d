"""100,000 malformed records of many kinds among good ones: nothing crashes, each is explained, the good ones count."""

from __future__ import annotations

import time
from base64 import b64decode
from collections import Counter

import pytest
from confluent_kafka import Message, Producer

from schemas.dead_letter import decode_dead_letter
from schemas.event import RECORD_BYTES_MAX
from streams.kafka_reader import read_to_end
from streams.topics import EVENTS, EVENTS_DEAD
from tests.e2e.audit import settings_of
from tests.e2e.conftest import Stack
from tests.e2e.malformed import Kind, kinds
from tests.e2e.pipeline import wait_for
from tests.e2e.tally import as_json

MALFORMED = 100_000
LARGE = 20
GOOD_EVERY = 5
SERVICE = "among-malformed"


def produce(stack: Stack, found: list[Kind], now_ms: int) -> tuple[Counter[str], int]:
    """Records of all kinds in turn, a good one after every fifth; how many of each kind, and how many good ones."""
    producer = Producer({"bootstrap.servers": stack.pipeline.brokers, "linger.ms": 20, "compression.type": "lz4"})
    topic = stack.pipeline.topic(EVENTS)
    small = [kind for kind in found if len(kind.raw or b"") <= 20_000]
    large = [kind for kind in found if len(kind.raw or b"") > 20_000]
    turns = [large[i % len(large)] for i in range(LARGE)]
    turns += [small[i % len(small)] for i in range(MALFORMED - LARGE)]
    good = as_json(service=SERVICE, version="v1", ts_ms=now_ms, latency_ms=12.5)
    for i, kind in enumerate(turns):
        _send(producer, topic, kind.name.encode(), kind.raw)
        if i % GOOD_EVERY == 0:
            _send(producer, topic, None, good)
    assert producer.flush(60) == 0
    return Counter(kind.name for kind in turns), MALFORMED // GOOD_EVERY


def _send(producer: Producer, topic: str, key: bytes | None, value: bytes | None) -> None:
    while len(producer) >= 50_000:
        producer.poll(0.1)
    producer.produce(topic, value, key=key)


def name_of(message: Message) -> str:
    """The kind of a dead letter: it has its source's key."""
    key = message.key()
    assert isinstance(key, bytes)
    return key.decode()


@pytest.mark.kafka
@pytest.mark.slow
def test_each_malformed_record_is_explained(stack: Stack) -> None:
    """Each of 100,000 malformed records is one dead letter with its reason, path and bytes; 20,000 good ones count."""
    now_ms = int(time.time() * 1000)
    found = kinds(now_ms)
    assert len(found) >= 30
    pids = stack.ingest.popen.pid, stack.worker.process.popen.pid
    sent, good = produce(stack, found, now_ms)
    wait_for(lambda: stack.worker.counted(SERVICE) >= good, 60, what=f"{good} good", dump=stack.pipeline.logs)

    messages = read_to_end(settings_of(stack.pipeline), stack.pipeline.topic(EVENTS_DEAD), 60)
    letters = [(name_of(m), decode_dead_letter(m.value() or b"")) for m in messages]
    assert Counter(name for name, _ in letters) == sent
    assert len({(letter.partition, letter.offset) for _, letter in letters}) == MALFORMED
    explained = {(name, e.reason, e.path, e.raw_base64, e.truncated) for name, e in letters}
    assert {(name, reason, path) for name, reason, path, _, _ in explained} == {
        (kind.name, kind.reason, kind.path) for kind in found
    }
    raws = {name: (b64decode(raw), truncated) for name, _, _, raw, truncated in explained}
    for kind in found:
        raw = kind.raw or b""
        assert raws[kind.name] == (raw[:RECORD_BYTES_MAX], len(raw) > RECORD_BYTES_MAX), kind.name
    assert stack.worker.counted(SERVICE) == good
    assert (stack.ingest.popen.poll(), stack.worker.process.popen.poll()) == (None, None), stack.pipeline.logs()
    assert pids == (stack.ingest.popen.pid, stack.worker.process.popen.pid)
