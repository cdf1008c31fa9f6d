"""Each event counts once: two million events, `kill -9` of ingest and of the worker in the middle, sums to the unit."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.tally import REASONS, SEGMENTS, SERVICES, VERSIONS, Tally, produce

EVENTS = 2_000_000
DAY_MS = 24 * 3600 * 1000


def rows(worker: Worker, service: str, version: str) -> list[dict[str, Any]]:
    """Everything that the windows table holds of one service and version, as one window a day long."""
    now_ms = int(time.time() * 1000)
    span = f"from_ms={now_ms - DAY_MS}&to_ms={now_ms + DAY_MS}&window_ms={2 * DAY_MS}"
    page = worker.get(f"/v1/services/{service}/windows?{span}&version={version}", timeout_s=60.0)
    assert page["next_from_ms"] is None
    found: list[dict[str, Any]] = page["rows"]
    return found


def total(worker: Worker) -> int:
    known = {entry["service"] for entry in worker.get("/v1/services")["services"]}
    return sum(row["n"] for s in SERVICES if s in known for v in VERSIONS for row in rows(worker, s, v))


def check(worker: Worker, tally: Tally) -> None:
    """n, errors and label counts to the unit, means to 1e-9, p99 within 1 %."""
    for service in SERVICES:
        for version in VERSIONS:
            key, found = (service, version), rows(worker, service, version)
            assert {row["segment"] for row in found} == set(SEGMENTS)
            assert sum(row["n"] for row in found) == tally.n[key], key
            assert sum(row["errors"] for row in found) == tally.errors[key], key
            for reason in REASONS:
                counted = sum(row["labels"]["finish_reason"].get(reason, 0) for row in found)
                assert counted == tally.reasons[service, version, reason], (key, reason)
            for row in found:
                latency_ms = np.concatenate(tally.latency_ms[service, version, row["segment"]])
                told = row["metrics"]["latency_ms"]
                assert told["mean"] == pytest.approx(float(latency_ms.mean()), rel=1e-9), key
                assert told["p99"] == pytest.approx(float(np.quantile(latency_ms, 0.99)), rel=0.01), key


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_every_event_is_counted_once_through_kill_9(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """Two million events in four partitions from four services; ingest and worker each die once while counting."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        ingest, worker = running.ingest(), running.worker()
        worker.wait_ready()
        tallies: list[Tally] = []
        now_ms = int(time.time() * 1000)
        topic = running.topic("inference.events")
        producing = threading.Thread(
            target=lambda: tallies.append(produce(kafka_broker, topic, events=EVENTS, ts_ms=now_ms, seed=1))
        )
        producing.start()
        wait_for(lambda: total(worker) > EVENTS // 10, 120, what="a tenth counted", dump=running.logs)
        ingest.kill()
        ingest.restart()
        wait_for(lambda: total(worker) > EVENTS // 3, 120, what="a third counted", dump=running.logs)
        worker.process.kill()
        worker.process.restart()
        recovered_s = worker.wait_ready()
        producing.join(240)
        assert tallies, "the producer did not end"
        settle(running, worker)
        check(worker, tallies[0])
        print(f"worker ready again after {recovered_s:.1f} s")
        assert ingest.stop() == 0, ingest.text()[-2000:]
        assert worker.process.stop() == 0, worker.process.text()[-2000:]


def settle(running: Pipeline, worker: Worker) -> None:
    """Wait until all that was sent is counted; more than that must not come."""
    wait_for(lambda: total(worker) >= EVENTS, 150, what=f"{EVENTS} events counted", dump=running.logs)
    time.sleep(3)
    assert total(worker) == EVENTS
