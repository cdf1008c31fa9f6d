"""What the client costs its caller: `emit` with the broker up and down, `choose`: `python -m bench.client`."""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Callable

import numpy as np

from bench.ingest import RESULTS, broker, create, delete
from serinus import Emitter, Router

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


def measure(brokers: str, *, seconds: int) -> dict[str, dict[str, float]]:
    """All rows, by name."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    create(brokers, prefix + TOPIC)
    rows = {}
    for per_s in (1_000, 5_000):
        for name, address in (("up", brokers), ("down", NOWHERE)):
            rows[f"emit, broker {name}, {per_s:,}/s"] = emit_us(address, prefix, calls=seconds * per_s, per_s=per_s)
    rows["choose"] = choose_us(calls=100_000)
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
