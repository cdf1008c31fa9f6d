"""Any worker answers for any service, and another one takes over within ten seconds when its owner is killed."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.e2e.pipeline import Worker, pipeline, wait_for
from tests.e2e.tally import as_json
from tests.machine_speed import slowness

SERVICES = [f"service-{i}" for i in range(8)]
EVENTS = 500
TAKE_OVER_S = 10.0


def produce(brokers: str, topic: str) -> None:
    """``EVENTS`` events of each service."""
    producer, now_ms = Producer({"bootstrap.servers": brokers}), int(time.time() * 1000)
    for i in range(EVENTS):
        for service in SERVICES:
            event = as_json(service=service, version="v1", ts_ms=now_ms - i, latency_ms=i + 1, error=i % 7 == 0)
            producer.produce(topic, event)
        producer.poll(0)
    assert producer.flush(20) == 0


def own_services(worker: Worker) -> list[str]:
    """The services that this worker looks after itself: a request that was forwarded is not forwarded again."""
    request = urllib.request.Request(f"{worker.url}/v1/services", headers={"Serinus-Forwarded": "1"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return [entry["service"] for entry in json.load(response)["services"]]


def tables(worker: Worker) -> dict[str, list[dict[str, Any]]]:
    return {service: worker.rows(service) for service in SERVICES}


def all_counted(worker: Worker) -> bool:
    return all(worker.counted(service) >= EVENTS for service in SERVICES)


def check_same(found: dict[str, list[dict[str, Any]]], expected: dict[str, list[dict[str, Any]]]) -> None:
    """The same counts and quantiles; means may differ in the last digit, since sums are merged in another order."""
    for service, rows in expected.items():
        assert [row | {"metrics": None} for row in found[service]] == [row | {"metrics": None} for row in rows]
        for row, before in zip(found[service], rows, strict=True):
            assert row["metrics"]["latency_ms"] == pytest.approx(before["metrics"]["latency_ms"], rel=1e-9)


def seconds_to_take_over(survivor: Worker, expected: dict[str, list[dict[str, Any]]]) -> float:
    """Poll every service until all answers are as before; meanwhile only 503 with Retry-After is allowed."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < 3 * TAKE_OVER_S:
        try:
            found = tables(survivor)
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read()
            assert int(error.headers["Retry-After"]) > 0
            assert json.load(error)["status"] == 503
            time.sleep(0.1)
        else:
            check_same(found, expected)
            return time.monotonic() - began_s
    raise AssertionError(f"not taken over within {3 * TAKE_OVER_S:.0f} s\n{survivor.process.text()[-3000:]}")


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_another_worker_takes_over(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """Two workers give the same answers for every service; after `kill -9` of one the other does, within 10 s."""
    within_s = TAKE_OVER_S * slowness()
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        ingest = running.ingest()
        workers = [running.worker(), running.worker()]
        wait_for(lambda: all(worker.ready() for worker in workers), 40, what="both ready", dump=running.logs)
        produce(kafka_broker, running.topic("inference.events"))
        wait_for(lambda: all_counted(workers[0]), 30, what=f"{EVENTS} events of each", dump=running.logs)

        owned = [own_services(worker) for worker in workers]
        assert all(owned), f"one worker has everything: {owned}"
        assert sorted(owned[0] + owned[1]) == SERVICES
        listed = [worker.get("/v1/services") for worker in workers]
        assert [entry["service"] for entry in listed[0]["services"]] == SERVICES
        assert listed[1]["missing"] == []
        before = tables(workers[0])
        check_same(tables(workers[1]), before)
        assert all(sum(row["n"] for row in rows) == EVENTS for rows in before.values())

        workers[0].process.kill()
        took_s = seconds_to_take_over(workers[1], before)
        print(f"taken over after {took_s:.1f} s")
        assert took_s <= within_s, running.logs()
        assert sorted(own_services(workers[1])) == SERVICES
        assert workers[1].process.stop() == 0, workers[1].process.text()[-3000:]
        assert ingest.stop() == 0, ingest.text()[-3000:]
