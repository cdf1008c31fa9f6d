"""Fuzzed records on every topic of a real Kafka, with ingest, worker and a router reading: all go on."""

from __future__ import annotations

import os
import re
import time
import urllib.error
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from schemas.dead_letter import decode_dead_letter
from schemas.inputs import report_format
from schemas.report import REPORT_VERSION
from serinus import Router
from streams.kafka_reader import read_to_end
from streams.topics import BASES, COMMANDS, CONTROL, DECISIONS, EVENTS, EVENTS_DEAD, INPUTS
from tests.e2e.audit import settings_of
from tests.e2e.pipeline import Pipeline, Process, Worker, pipeline, wait_for
from tests.e2e.tally import as_json
from tests.fuzz.readers import TOPICS

RECORDS = int(os.environ.get("FUZZED_RECORDS", "300"))
"""Of each topic and form. The worker waits for Kafka at each dead letter; `tests/fuzz` takes a million without it."""
SEED = 1
SERVICE = "honest"
HONEST = 100
_RECORD_BYTES_MAX = 900_000


def produce(running: Pipeline) -> dict[str, int]:
    """Records of all topics in turn, and honest events among them; how many of each topic."""
    producer = Producer({"bootstrap.servers": running.brokers, "linger.ms": 20, "queue.buffering.max.kbytes": 500_000})
    sources = {name: make(Random(f"{SEED} {name}")) for name, (make, _) in TOPICS.items() if name in _ON}
    sent = dict.fromkeys({*_ON.values()}, 0)
    for number in range(RECORDS):
        for name, source in sources.items():
            record = source.record()
            # A report of an unknown format stops all services of its partition, by a rule of its own.
            stops = name == "canary.inputs" and report_format(record or b"") not in {None, REPORT_VERSION}
            if len(record or b"") <= _RECORD_BYTES_MAX and not stops:
                producer.produce(running.topic(_ON[name]), record)
                sent[_ON[name]] += 1
        if number * HONEST // RECORDS != (number - 1) * HONEST // RECORDS:
            event = as_json(service=SERVICE, version="v1", ts_ms=int(time.time() * 1000), latency_ms=12.5)
            producer.produce(running.topic(EVENTS), event)
        producer.poll(0)
    assert producer.flush(60) == 0
    return sent


_ON = {
    "inference.events": EVENTS,
    "inference.events, packed": EVENTS,
    "canary.inputs": INPUTS,
    "canary.commands": COMMANDS,
    "canary.control": CONTROL,
    "canary.bases": BASES,
    "canary.decisions": DECISIONS,
}


def metric(text: str, name: str, **labels: str) -> int:
    """The sum of a metric's samples that have these labels."""
    found = re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", text, re.MULTILINE)
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return round(sum(float(value) for given, value in found if all(one in given for one in wanted)))


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fuzzed_records_end_nobody(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """The honest events count to the unit, no process ends, another worker can take over, and every refusal is kept."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        router = Router(service="chat", fallback="v1", brokers=kafka_broker, topic_prefix=topic_prefix)
        ingest, worker = running.ingest(), running.worker()
        worker.wait_ready()
        sent = produce(running)
        wait_for(lambda: worker.counted(SERVICE) >= HONEST, 180, what="honest events", dump=running.logs)
        wait_for(lambda: _commands_done(worker, running, sent), 180, what="commands", dump=running.logs)
        _check_dead_letters(running, worker, ingest)
        records = router.state().records
        assert sum(records.values()) > 0 and router.choose("user")
        router.close()
        assert worker.counted(SERVICE) == HONEST
        # What was written there is read back by whoever takes over.
        assert worker.process.stop(20) == 0, worker.process.text()[-3000:]
        next_worker = running.worker()
        wait_for(lambda: _counted(next_worker) >= HONEST, 180, what="taken over", dump=running.logs)
        assert next_worker.counted(SERVICE) == HONEST
        assert next_worker.process.stop(20) == 0
        assert ingest.stop(20) == 0, ingest.text()[-3000:]


def _counted(worker: Worker) -> int:
    """Nobody listens while it starts; and it is never ready, where a fuzzed report has stopped a service."""
    try:
        return worker.counted(SERVICE)
    except urllib.error.URLError:
        return 0


def _commands_done(worker: Worker, running: Pipeline, sent: dict[str, int]) -> bool:
    text = worker.get("/metrics")
    refused = metric(text, "serinus_worker_dead_letters_total", topic=running.topic(COMMANDS))
    return metric(text, "serinus_worker_commands_total") + refused == sent[COMMANDS]


def _check_dead_letters(running: Pipeline, worker: Worker, ingest: Process) -> None:
    """As many stand on the topic as both say."""
    messages = read_to_end(settings_of(running), running.topic(EVENTS_DEAD), 60)
    letters = [decode_dead_letter(message.value() or b"") for message in messages]
    assert all(letter.reason for letter in letters)
    by_worker = sum(letter.topic != running.topic(EVENTS) for letter in letters)
    assert by_worker <= metric(worker.get("/metrics"), "serinus_worker_dead_letters_total")
    port = ingest.environment["SERINUS_INGEST_HTTP_PORT"]
    by_ingest = metric(Worker(ingest, f"http://127.0.0.1:{port}").get("/metrics"), "serinus_dead_letters_total")
    assert len(letters) - by_worker <= by_ingest
