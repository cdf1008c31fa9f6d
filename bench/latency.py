"""From the append of an event to the route that it causes, by stage: `python -m bench.latency`.

A real pipeline on a real broker. Four services share the rate; the real router splits their requests, and the packs of
the real client are sent at a steady pace. Every release advances once on evidence; then its canary fails all its
requests at once and is rolled back.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
import numpy as np
from matplotlib.figure import Figure

from bench.live_load import Load, Service
from bench.stages import STAGES, Staged, Topics
from tests.e2e.audit import decisions, routes
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.plans import stages

SERVICES = 4
RATES = (1_000, 10_000, 50_000)
LIMIT_MS = 1_000
RESULT = Path(__file__).parent / "results" / "latency.json"
PICTURE = RESULT.with_suffix(".svg")
METRICS = """
  - {name: error_rate, worse: higher, margin: 20%}
  - {name: latency_ms, worse: higher, margin: 100%}
"""


class Releases:
    """Releases of one service, one after another."""

    def __init__(self, running: Pipeline, worker: Worker, service: Service) -> None:
        self.running, self.worker, self.service = running, worker, service
        self.bad_to_route_ms: list[int] = []

    def run(self, releases: int) -> None:
        """Run them all; one release takes some five seconds."""
        name = self.service.name
        wait_for(lambda: self.worker.counted(name) > 0, 60, what=f"traffic of {name} is seen")
        for _ in range(releases):
            self._release(name)

    def _release(self, name: str) -> None:
        router = self.service.router
        assert router is not None
        plan = stages(name, ("20%", "1s"), ("50%", "10m"), metrics=METRICS)
        self.worker.post(f"/v1/services/{name}/release", plan.encode())
        wait_for(
            lambda: router.state().weights_ppm.get("v2") == 500_000,
            60,
            what="advanced to 50 %",
            dump=lambda: str(decisions(self.running, name)[-2:]),
        )
        self.service.canary_error_rate, bad_since_ms = 1.0, time.time_ns() // 1_000_000
        wait_for(lambda: router.state().release_state == "rolled_back", 60, what="rolled back")
        self.service.canary_error_rate = 0.01
        time.sleep(1.0)  # so that no bad event of this release counts against the next
        self.bad_to_route_ms.append(routes(self.running, name)[-1].at_ms - bad_since_ms)


def summary(times_ms: Sequence[int]) -> dict[str, float]:
    """Median, p99 and maximum, ms."""
    median, p99 = np.quantile(times_ms, [0.5, 0.99])
    return {"n": len(times_ms), "median": float(median), "p99": float(p99), "max": float(max(times_ms))}


def measure(running: Pipeline, *, rate_per_s: int, releases: int) -> dict[str, Any]:
    """Run the pipeline and the releases, and sum up."""
    running.ingest()
    worker = running.worker()
    worker.wait_ready()
    services = [Service(running, f"latency-{i}", rate_per_s / SERVICES, routed=True) for i in range(SERVICES)]
    parts = [Releases(running, worker, service) for service in services]
    began_s = time.monotonic()
    with Load(running, services) as load, ThreadPoolExecutor(SERVICES) as pool:
        running_parts = []
        for part in parts:
            running_parts.append(pool.submit(part.run, -(-releases // SERVICES)))
            time.sleep(0.7)  # so that the services do not advance in step
        for one in running_parts:
            one.result()
        sent_per_s = load.events / (time.monotonic() - began_s)
    found = Topics(running).staged()
    bad = [took for part in parts for took in part.bad_to_route_ms]
    return {
        "rate_per_s": rate_per_s,
        "sent_per_s": round(sent_per_s),
        "load_late_ms": round(1000 * load.late_s),
        "releases": len(bad),
        "newest_event_to_route_ms": summary([one.whole_ms for one in found]),
        "bad_canary_to_rollback_ms": summary(bad),
        "stages_ms": {stage: summary([getattr(one, stage) for one in found]) for stage in STAGES},
        "decisions": msgspec.to_builtins(found),
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """At each rate the decisions from fast to slow, cut into stages; the same bytes for the same results."""
    colours = ("#1f77b4", "#7f7f7f", "#d62728", "#2ca02c")
    names = ("ingest: event → report", "others pass the beat", "worker: fold", "route")
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3), layout="constrained")
        panels = figure.subplots(1, len(found["rates"]), sharey=True, squeeze=False)[0]
        for panel, row in zip(panels, found["rates"], strict=True):
            order = sorted(msgspec.convert(row["decisions"], list[Staged]), key=lambda one: one.whole_ms)
            heights = [[getattr(one, stage) for one in order] for stage in STAGES]
            panel.stackplot(range(len(order)), heights, colors=colours, labels=names, step="mid")
            panel.set_title(f"{row['rate_per_s']:,} events/s", fontsize=9)
            panel.set_xlabel("decisions, fast to slow")
        panels[0].set_ylabel("ms since the newest event")
        panels[0].legend(loc="upper left", fontsize=7)
        figure.savefig(path, metadata={"Date": None})


def latency_table(found: dict[str, Any]) -> str:
    """Milliseconds from an event to the route it caused, and by stage."""
    rates = found["rates"]
    head = " | ".join(f"{row['rate_per_s']:,} events/s" for row in rates)
    lines = [f"| median / p99 / max | {head} |", "|---" * (1 + len(rates)) + "|"]

    def line(name: str, rows: list[dict[str, float]]) -> str:
        return (
            f"| {name} | " + " | ".join(f"{r['median']:.0f} / {r['p99']:.0f} / {r['max']:.0f} ms" for r in rows) + " |"
        )

    whole = "**append of the newest event of the evidence → append of the route**"
    lines.append(line(whole, [row["newest_event_to_route_ms"] for row in rates]))
    lines += [line(name, [row["stages_ms"][stage] for row in rates]) for stage, name in STAGES.items()]
    lines.append(
        line("the canary turns bad → append of the route that ends it", [r["bad_canary_to_rollback_ms"] for r in rates])
    )
    n = ", ".join(str(row["newest_event_to_route_ms"]["n"]) for row in rates)
    about = f"{n} decisions by evidence on {found['cores']} cores, broker, load and pipeline together."
    return "\n".join([*lines, "", about, "", "![Where the time of each decision goes](results/latency.svg)"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``bench/results/latency.json`` and the picture."""
    parser = argparse.ArgumentParser(prog="bench.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, nargs="+", default=RATES, help="events a second (1000 10000 50000)")
    parser.add_argument("--releases", type=int, default=40, help="at each rate (40)")
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    asked = parser.parse_args(arguments)
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serinus-latency-")))
        brokers = asked.brokers or stack.enter_context(own_kafka(folder / "kafka"))
        for rate in asked.rate:
            with pipeline(brokers, f"latency-{uuid.uuid4().hex[:8]}.", folder) as running:
                rows.append(measure(running, rate_per_s=rate, releases=asked.releases))
    result = {"cores": os.cpu_count(), "rates": rows}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result) + "\n", encoding="utf-8")
    draw(result, PICTURE)
    print(latency_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
