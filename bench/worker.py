"""What a worker costs: `python -m bench.worker`.

A real pipeline on a real broker at live pace: a hundred services, ten of them in release, four source partitions. First
the share of a core that the worker uses; then it is stopped while reports go on, and reads what it has missed.

What a worker costs depends on reports and services, hardly on events: ten a second of each service leave the other core
to broker and ingest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.ingest import RESULTS, broker
from bench.judgement import numpy_ms
from bench.live_load import Load, Service
from bench.process_cost import cpu_s, rss_mb
from bench.worker_fold import fold_cost
from streams.kafka_reader import bounds
from streams.topics import INPUTS
from tests.e2e.audit import settings_of
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.plans import stages

METRICS = """
  - {name: error_rate, margin: 1%}
  - {name: latency_ms, margin: 10%}
  - {name: values.tokens_out, margin: 10%}
"""
WARM_S = 30.0
FOLD_S = 16
"""Of the load that is folded without Kafka."""


def inputs(running: Pipeline) -> int:
    """How many records stand on `canary.inputs`."""
    return sum(end for _, end in bounds(settings_of(running), running.topic(INPUTS)).values())


def lag(worker: Worker) -> float | None:
    """Inputs that the worker has still to read, or None while it does not know."""
    if not worker.ready():
        return None
    lines = [line for line in str(worker.get("/metrics")).splitlines() if line.startswith("serinus_worker_inputs_lag{")]
    return sum(float(line.split()[-1]) for line in lines) if lines else None


def live(running: Pipeline, worker: Worker, seconds: float) -> dict[str, float]:
    """The worker's cost over some time of the load, and what it read meanwhile."""
    pid = worker.process.popen.pid
    began_s, began_cpu_s, began = time.monotonic(), cpu_s(pid), inputs(running)
    time.sleep(seconds)
    took_s, took_cpu_s, read = time.monotonic() - began_s, cpu_s(pid) - began_cpu_s, inputs(running) - began
    return {
        "share_of_a_core": round(took_cpu_s / took_s, 3),
        "inputs_per_s": round(read / took_s, 1),
        "cpu_ms_per_input": round(1000 * took_cpu_s / read, 3),
        "rss_mb": round(rss_mb(pid)),
    }


def catching_up(running: Pipeline, worker: Worker, away_s: float) -> dict[str, float]:
    """Stop the worker for some time; how fast its successor reads what was missed, ticks and new reports included."""
    worker.process.stop()
    stopped_s, missed = time.monotonic(), inputs(running)
    time.sleep(away_s)
    worker.process.restart()
    wait_for(lambda: lag(worker) is not None, 180, what="the worker is ready", dump=worker.process.text)
    pid = worker.process.popen.pid
    began_s, began_cpu_s, began_lag = time.monotonic(), cpu_s(pid), lag(worker) or 0.0
    began = inputs(running)
    # A worker that keeps up is still some of the newest reports behind.
    second = (began - missed) / (began_s - stopped_s)
    wait_for(lambda: (lag(worker) or 0.0) < second, 300, what="the worker has caught up", dump=worker.process.text)
    took_s, took_cpu_s = time.monotonic() - began_s, cpu_s(pid) - began_cpu_s
    read = began_lag + inputs(running) - began
    return {
        "inputs_missed": began - missed,
        "inputs_read": read,
        "inputs_per_s": round(read / took_s, 1),
        "cpu_ms_per_input": round(1000 * took_cpu_s / read, 3),
    }


def measure(running: Pipeline, *, services: int, releases: int, rate_per_s: float, seconds: float) -> dict[str, Any]:
    """Run the load."""
    running.ingest()
    worker = running.worker()
    worker.wait_ready()
    names = [f"service-{i}" for i in range(services)]
    parts = [Service(running, name, rate_per_s, routed=i < releases) for i, name in enumerate(names)]
    with Load(running, parts) as load:
        wait_for(lambda: worker.counted(names[-1]) > 0, 60, what="traffic is seen", dump=running.logs)
        for name in names[:releases]:
            plan = stages(name, ("10%", "24h"), metrics=METRICS)
            worker.post(f"/v1/services/{name}/release", plan.encode())
        time.sleep(WARM_S)
        began_s, began = time.monotonic(), load.events
        found = live(running, worker, seconds)
        events_per_s = (load.events - began) / (time.monotonic() - began_s)
        caught_up = catching_up(running, worker, min(60.0, seconds))
        state = [worker.get(f"/v1/services/{name}/release")["state"] for name in names[:releases]]
    return {
        "services": services,
        "fold": fold_cost(services, releases, rate_per_s=rate_per_s, seconds=FOLD_S, metrics=METRICS),
        "in_release": sum(one == "ramping" for one in state),
        "versions": 2,
        "segments": 4,
        "source_partitions": 4,
        "events_per_s": round(events_per_s),
        "seconds": seconds,
        "cores": os.cpu_count(),
        "live": found,
        "catching_up": caught_up,
        "load_late_s": round(load.late_s, 2),
        "numpy_ms": round(numpy_ms(), 2),
    }


def worker_table(found: dict[str, Any]) -> str:
    """Both phases."""
    lines = ["| | inputs/s | CPU time of an input | share of a core |", "|---|---|---|---|"]
    one, other, alone = found["live"], found["catching_up"], found["fold"]
    for name, row, share in (
        ("at live pace", one, f"**{one['share_of_a_core']:.0%}**"),
        ("reading what was missed", other, ""),
        ("the fold and its checkpoints, without Kafka and Faust", alone, f"{alone['share_of_a_core']:.0%}"),
    ):
        lines.append(f"| {name} | {row['inputs_per_s']:.0f} | {row['cpu_ms_per_input']:.1f} ms | {share} |")
    about = (
        f"{found['services']} services of {found['versions']} versions and {found['segments']} segments, "
        f"{found['in_release']} in release, {found['source_partitions']} source partitions, "
        f"{found['events_per_s']:,} events/s for {found['seconds']:.0f} s; "
        f"the worker's memory was {one['rss_mb']} MB. A thousand small numpy calls took {found['numpy_ms']} ms."
    )
    return "\n".join([*lines, "", about])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.worker", description=__doc__.partition("\n")[0])
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--releases", type=int, default=10, help="of these so many are in release (10)")
    parser.add_argument("--rate", type=float, default=10.0, help="events a second of each service (10)")
    parser.add_argument("--seconds", type=float, default=180.0, help="at live pace (180)")
    asked = parser.parse_args(arguments)
    prefix = f"worker-{uuid.uuid4().hex[:8]}."
    with (
        tempfile.TemporaryDirectory() as folder,
        broker(asked.brokers) as brokers,
        pipeline(brokers, prefix, Path(folder)) as running,
    ):
        result = measure(
            running, services=asked.services, releases=asked.releases, rate_per_s=asked.rate, seconds=asked.seconds
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "worker.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    print(worker_table(result))


if __name__ == "__main__":
    main()
