"""From the append of an event to the route that it causes: `python -m bench.latency --rate 1000`.

A real pipeline on a real broker; four services share the rate, each request goes through the real router and emitter.
Every release advances once on evidence; then its canary fails all its requests at once and is rolled back.
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

import numpy as np

from tests.e2e.audit import decisions, event_to_route_ms, routes
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.plans import stages
from tests.e2e.traffic import Arm, Traffic

SERVICES = 4
RESULT = Path(__file__).parent / "results" / "latency.json"
METRICS = """
  - {name: error_rate, worse: higher, margin: 20%}
  - {name: latency_ms, worse: higher, margin: 100%}
"""


class Releases:
    """Releases of one service, one after another.

    Parameters
    ----------
    rate_per_s : requests a second of this service.
    """

    def __init__(self, running: Pipeline, worker: Worker, service: str, rate_per_s: int) -> None:
        self.running, self.worker, self.service, self.rate_per_s = running, worker, service, rate_per_s
        self.first_bad_to_route_ms: list[int] = []

    def run(self, releases: int) -> None:
        """Run them all; one release takes some five seconds."""
        with Traffic(self.running, self.service, rate_per_s=self.rate_per_s, canary=Arm()) as live:
            wait_for(lambda: self.worker.counted(self.service) > 0, 30, what=f"traffic of {self.service} is seen")
            for _ in range(releases):
                self._release(live)

    def _release(self, live: Traffic) -> None:
        plan = stages(self.service, ("20%", "1s"), ("50%", "10m"), metrics=METRICS)
        self.worker.post(f"/v1/services/{self.service}/release", plan.encode())
        wait_for(
            lambda: live.router.state().weights_ppm.get("v2") == 500_000,
            60,
            what="advanced to 50 %",
            dump=lambda: str(decisions(self.running, self.service)[-2:]),
        )
        bad_since_ms = live.become(error_rate=1.0)
        wait_for(lambda: live.router.state().release_state == "rolled_back", 60, what="rolled back")
        first_bad_ms = next(one.at_ms for one in live.served if one.at_ms >= bad_since_ms and one.version == "v2")
        live.become(error_rate=Arm().error_rate)
        time.sleep(1.0)  # so that no bad event of this release counts against the next
        self.first_bad_to_route_ms.append(routes(self.running, self.service)[-1].at_ms - first_bad_ms)


def summary(times_ms: Sequence[int]) -> dict[str, float]:
    """Median, p99 and maximum, ms."""
    median, p99 = np.quantile(times_ms, [0.5, 0.99])
    return {"n": len(times_ms), "median": float(median), "p99": float(p99), "max": float(max(times_ms))}


def measure(running: Pipeline, *, rate_per_s: int, releases: int) -> dict[str, object]:
    """Run the pipeline and the releases, and sum up."""
    running.ingest()
    worker = running.worker()
    worker.wait_ready()
    parts = [Releases(running, worker, f"latency-{i}", rate_per_s // SERVICES) for i in range(SERVICES)]
    with ThreadPoolExecutor(SERVICES) as pool:
        running_parts = []
        for part in parts:
            running_parts.append(pool.submit(part.run, -(-releases // SERVICES)))
            time.sleep(0.7)  # so that the services do not advance in step
        for one in running_parts:
            one.result()
    newest = [took for part in parts for took in event_to_route_ms(running, part.service)]
    first = [took for part in parts for took in part.first_bad_to_route_ms]
    return {
        "benchmark": "latency",
        "rate_per_s": rate_per_s,
        "releases": len(first),
        "cores": os.cpu_count(),
        "newest_event_to_route_ms": summary(newest),
        "first_bad_event_to_rollback_ms": summary(first),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the result as JSON and write it to ``bench/results/latency.json``."""
    parser = argparse.ArgumentParser(prog="bench.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=1000, help="events a second, all services together (1000)")
    parser.add_argument("--releases", type=int, default=20, help="how many (20)")
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serinus-latency-")))
        brokers = options.brokers or stack.enter_context(own_kafka(folder / "kafka"))
        running = stack.enter_context(pipeline(brokers, f"latency-{uuid.uuid4().hex[:8]}.", folder))
        result = measure(running, rate_per_s=options.rate, releases=options.releases)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
