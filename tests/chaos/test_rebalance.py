"""Ingests and workers come and go under load: judgement pauses shortly, and no count changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.checks import check_counts, wait_judged
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.e2e.pipeline import Pipeline, Process, Worker, pipeline
from tests.e2e.traffic import Arm
from tests.machine_speed import slowness

SERVICES = tuple(f"service-{number}" for number in range(6))
RATE_PER_S = 300
PAUSE_S_MAX = 5.0
SETTLE_S = 6.0


def stop(process: Process) -> None:
    assert process.stop() == 0, process.text()[-3000:]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_coming_and_going_pauses_judgement_shortly(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """A second ingest and worker join, the first ones leave: counting pauses at most 5 s and stays exact."""
    pause_s_max = PAUSE_S_MAX * slowness()
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        began_ms = int(time.time() * 1000)
        ingest, worker = running.ingest(), running.worker()
        worker.wait_ready()
        with (
            Load(running, canaries=dict.fromkeys(SERVICES, Arm()), routed=(), rate_per_s=RATE_PER_S) as load,
            Monitor([worker], SERVICES) as monitor,
        ):
            wait_judged(monitor, load.sent.copy(), 40, running)
            joined: list[Worker] = []
            pauses_s = {
                "an ingest joins": pause_s(monitor, running, load, running.ingest),
                "a worker joins": pause_s(monitor, running, load, lambda: joined.append(join(running, monitor))),
                "an ingest leaves": pause_s(monitor, running, load, lambda: stop(ingest)),
                "a worker leaves": pause_s(monitor, running, load, lambda: leave(worker, monitor)),
            }
            load.stop()
            counted = check_counts(running, joined[0], load, began_ms=began_ms)
        print(", ".join(f"{what}: {pause:.1f} s" for what, pause in pauses_s.items()), f"({counted} events, each once)")
        assert max(pauses_s.values()) <= pause_s_max, (pauses_s, pause_s_max)


def join(running: Pipeline, monitor: Monitor) -> Worker:
    worker = running.worker()
    worker.wait_ready()
    monitor.workers.append(worker)
    return worker


def leave(worker: Worker, monitor: Monitor) -> None:
    monitor.workers.remove(worker)
    stop(worker.process)


def pause_s(monitor: Monitor, running: Pipeline, load: Load, change: Callable[[], object]) -> float:
    """Make a change, wait until it is digested; the longest time in which the count of some service stood still."""
    since_s = time.monotonic()
    change()
    time.sleep(SETTLE_S)
    wait_judged(monitor, load.sent.copy(), 40, running)
    return monitor.longest_pause_s(since_s=since_s, until_s=time.monotonic())
