"""What the client costs its caller: `emit` and `choose` with the broker up and down: `python -m bench.client`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bench.ingest import RESULTS, broker, create, delete
from serinus import Emitter, Router
from streams.settings import Settings
from streams.topics import CONTROL
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import wait_for
from tests.routers.control import Control

NOWHERE = "127.0.0.1:1"
TOPIC = "inference.events"


def spent_us(call: Callable[[], object], *, calls: int, per_s: int) -> dict[str, float]:
    """Median, p99 and maximum of single calls, microseconds, at a steady rate; 0 is as fast as they go."""
    found = np.empty(calls)
    due_s = time.perf_counter()
    for at in range(calls):
        if per_s:
            due_s += 1 / per_s
            time.sleep(max(0.0, due_s - time.perf_counter()))
        started_ns = time.perf_counter_ns()
        call()
        found[at] = time.perf_counter_ns() - started_ns
    median, p99 = np.quantile(found, [0.5, 0.99]) / 1e3
    return {
        "calls": calls,
        "median": round(float(median), 2),
        "p99": round(float(p99), 2),
        "max": round(found.max() / 1e3),
    }


def emit_us(brokers: str, prefix: str, *, calls: int, per_s: int) -> dict[str, float]:
    """`emit` of an event with everything that a usual service gives it."""
    values, labels = {"tokens_out": 41.0}, {"finish_reason": "stop"}
    with Emitter(service="chat", brokers=brokers, topic_prefix=prefix, queue_size=100_000) as emitter:

        def call() -> None:
            emitter.emit(
                version="v2",
                latency_ms=181.5,
                values=values,
                labels=labels,
                segment="eu",
                unit="user-1",
                epoch=3,
                bucket=7,
            )

        found = spent_us(call, calls=calls, per_s=per_s)
        emitter.close(0.0 if brokers == NOWHERE else 10.0)
    return found


def choose_us(*, calls: int) -> dict[str, float]:
    """`choose` under a route with a canary."""
    router = Router.static({"v1": 900_000, "v2": 100_000}, fallback="v1")
    return spent_us(lambda: router.choose("user-1", segment="eu"), calls=calls, per_s=0)


def choose_without_broker_us(*, seconds: int, per_s: int) -> dict[str, dict[str, float]]:
    """`choose` while the broker is up, while it is gone and the lease holds, and after its end."""
    rows = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with own_kafka(folder / "kafka") as brokers:
            settings = Settings(brokers=brokers)
            create(brokers, settings.topic(CONTROL))
            router = stack.enter_context(Router(service="chat", fallback="v1", brokers=brokers))

            def row(name: str, *, on_fallback: bool) -> None:
                versions = set()

                def choose() -> None:
                    versions.add(router.choose("user-1", segment="eu"))

                rows[name] = spent_us(choose, calls=seconds * per_s, per_s=per_s)
                assert versions == {"v1" if on_fallback else "v2"}, f"{name}: {versions}"

            control = Control(settings)
            control.publish(1_000_000, lease_ms=(3 * seconds + 60) * 1000)
            wait_for(lambda: not router.state().on_fallback, 30, what="the route is in force")
            row(f"choose, broker up, {per_s:,}/s", on_fallback=False)
            control.publish(1_000_000, lease_ms=(seconds + 30) * 1000)
            control.close()
            wait_for(lambda: router.state().epoch == 2, 30, what="the next route is in force")
        row(f"choose, broker gone, lease holds, {per_s:,}/s", on_fallback=False)
        wait_for(lambda: router.state().on_fallback, seconds + 60, what="the lease ends")
        row(f"choose, broker gone, lease over, {per_s:,}/s", on_fallback=True)
        assert router.state().choose_failures == 0
    return rows


def measure(brokers: str, *, seconds: int) -> dict[str, dict[str, float]]:
    """All rows, by name."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    create(brokers, prefix + TOPIC)
    rows = {}
    for per_s in (1_000, 5_000):
        for name, address in (("up", brokers), ("down", NOWHERE)):
            rows[f"emit, broker {name}, {per_s:,}/s"] = emit_us(address, prefix, calls=seconds * per_s, per_s=per_s)
    rows["choose"] = choose_us(calls=100_000)
    rows |= choose_without_broker_us(seconds=seconds, per_s=1_000)
    delete(brokers, prefix + TOPIC)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers")
    parser.add_argument("--seconds", type=int, default=5)
    asked = parser.parse_args()
    with broker(asked.brokers) as brokers:
        rows = measure(brokers, seconds=asked.seconds)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "client.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
