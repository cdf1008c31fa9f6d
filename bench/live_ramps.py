"""Each ramp on a real Kafka, with a good canary and a bad one: `python -m bench.live_ramps`.

A real pipeline, real routers and emitters, and eight services at once. Of every step that a route opened, the share of
the requests that followed it is held against its binomial interval; a picture of each ramp goes to docs/images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from schemas.decision import State
from schemas.units import PPM
from tests.e2e.audit import Published, decisions, routes
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.traffic import Arm, Served, Traffic

RAMPS: Final = {
    "stages": "{kind: stages, steps: [{weight: 5%, hold: 10s}, {weight: 20%, hold: 10s}, {weight: 50%, hold: 10s}]}",
    "linear": "{kind: linear, from: 5%, to: 50%, over: 40s}",
    "exponential": "{kind: exponential, from: 2%, to: 50%, factor: 2, every: 8s}",
    "adaptive": "{kind: adaptive, from: 2%, to: 50%, harm_budget: 200, hold: 5s}",
}
CANARIES: Final = {"good": Arm(error_rate=0.01), "bad": Arm(error_rate=0.1)}
LEVEL: Final = 0.999
"""Of each step's interval: about one run in twenty has a step outside by chance alone."""
WINDOW_MS: Final = 1_000
RESULT: Final = Path(__file__).parent / "results" / "live_ramps.json"
PICTURES: Final = Path(__file__).parent.parent / "docs" / "images"


def plan_of(service: str, ramp: str) -> str:
    """A plan whose gate needs some hundred requests a step."""
    return (
        f"service: {service}\nbaseline: v1\ncanaries: [v2]\nalpha: 0.01\nramp: {ramp}\n"
        "metrics: [{name: error_rate, worse: higher, margin: 2%}]\n"
    )


def steps_of(served: list[Served], published: list[Published]) -> list[dict[str, Any]]:
    """What each route asked for and what the requests that it split show, oldest first."""
    found = []
    for route in {one.route.epoch: one.route for one in published}.values():
        versions = [one.version for one in served if one.epoch == route.epoch]
        if not versions:
            continue
        asked, canary = route.weights_ppm["v2"] / PPM, versions.count("v2")
        interval = binomtest(canary, len(versions)).proportion_ci(LEVEL, method="exact")
        inside = bool(interval.low <= asked <= interval.high)
        found.append({"asked": asked, "seen": canary / len(versions), "requests": len(versions), "inside": inside})
    return found


def drawn(served: list[Served], published: list[Published]) -> dict[str, Any]:
    """Seconds since the first route with a canary; the share asked for, and the one seen in each second."""
    began_ms = next(one.at_ms for one in published if one.route.weights_ppm["v2"])
    asked = [((one.at_ms - began_ms) / 1000, one.route.weights_ppm["v2"] / PPM) for one in published]
    at = np.array([one.at_ms for one in served])
    canary = np.array([one.version == "v2" for one in served])
    which = (at - began_ms) // WINDOW_MS
    seen = [
        (float(second), float(canary[which == second].mean()))
        for second in range(-3, int(which.max()) + 1)
        if (which == second).any()
    ]
    return {"asked": asked, "seen": seen}


def start(worker: Worker, service: str, ramp: str) -> None:
    """Start a release as soon as the service has been heard of."""
    wait_for(lambda: worker.counted(service) > 0, 60, what=f"traffic of {service} is seen")
    worker.post(f"/v1/services/{service}/release", plan_of(service, ramp).encode())


def measure(running: Pipeline, *, rate_per_s: int, timeout_s: float) -> list[dict[str, Any]]:
    """Run all ramps with both canaries at once."""
    running.ingest()
    worker = running.worker()
    worker.wait_ready()
    live: dict[tuple[str, str], Traffic] = {}
    with ExitStack() as stack:
        for ramp in RAMPS:
            for kind, arm in CANARIES.items():
                traffic = Traffic(running, f"{ramp}-{kind}", rate_per_s=rate_per_s, canary=arm)
                live[ramp, kind] = stack.enter_context(traffic)
        for ramp, kind in live:
            start(worker, f"{ramp}-{kind}", RAMPS[ramp])
        ended = {State.PROMOTED.value, State.ROLLED_BACK.value}
        wait_for(
            lambda: all(traffic.router.state().release_state in ended for traffic in live.values()),
            timeout_s,
            what="all ramps have ended",
            dump=lambda: "\n".join(str(decisions(running, f"{ramp}-{kind}")[-1].reason) for ramp, kind in live),
        )
        time.sleep(3.0)
    rows = []
    for (ramp, kind), traffic in live.items():
        service = f"{ramp}-{kind}"
        made, published = decisions(running, service), routes(running, service)
        rows.append({
            "ramp": ramp, "canary": kind, "state": made[-1].state.value,
            "took_s": (made[-1].at_ms - made[0].at_ms) / 1000,
            "share_max": max(step["asked"] for step in steps_of(traffic.served, published)[:-1]),
            "met": sum(one.version == "v2" for one in traffic.served),
            "steps": steps_of(traffic.served, published),
            **drawn(traffic.served, published),
        })  # fmt: skip
    return rows


def draw(rows: list[dict[str, Any]], ramp: str, path: Path) -> None:
    """The share asked for and the one seen, of a good canary and of a bad one."""
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 2.6), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            if row["ramp"] != ramp:
                continue
            colour = "#1f77b4" if row["canary"] == "good" else "#d62728"
            at, asked = zip(*row["asked"], (row["seen"][-1][0], row["asked"][-1][1]), strict=True)
            shown = [100 * share for share in asked]
            axes.step(at, shown, where="post", color=colour, linewidth=1, label=f"{row['canary']} canary, asked for")
            seconds, seen = zip(*row["seen"], strict=True)
            axes.plot(np.array(seconds) + 0.5, [100 * share for share in seen], ".", color=colour, markersize=3,
                      label=f"{row['canary']} canary, seen in each second")  # fmt: skip
        axes.set_xlabel("seconds since the start")
        axes.set_ylabel("share of the canary, %")
        axes.legend(fontsize=7, frameon=False, loc="center right")
        figure.savefig(path, metadata={"Date": None})


def live_ramps_table(found: dict[str, Any]) -> str:
    """How each ramp ended, and whether the traffic followed it."""
    lines = [
        "| ramp | canary | ended | after | largest share before | steps | within their interval |",
        "|---" * 7 + "|",
    ]
    for row in found["rows"]:
        inside = sum(step["inside"] for step in row["steps"])
        lines.append(
            f"| {row['ramp']} | {row['canary']} | {row['state'].replace('_', ' ')} | {row['took_s']:.0f} s "
            f"| {100 * row['share_max']:.3g} % | {len(row['steps'])} | {inside} |"
        )
    about = (
        f"{found['rate_per_s']} requests/s for each service, errors of 1 % (good) and 10 % (bad) beside 1 % of the "
        f"baseline. Intervals: Clopper-Pearson at {LEVEL:.1%} of the requests that followed each route."
    )
    return "\n".join([*lines, "", about])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``bench/results/live_ramps.json`` and the pictures; fails when a canary does not end as it should."""
    parser = argparse.ArgumentParser(prog="bench.live_ramps", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=150, help="requests a second of each of eight services (150)")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the slowest ramp (300)")
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    asked = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serinus-ramps-")))
        brokers = asked.brokers or stack.enter_context(own_kafka(folder / "kafka"))
        running = stack.enter_context(pipeline(brokers, f"ramps-{uuid.uuid4().hex[:8]}.", folder))
        rows = measure(running, rate_per_s=asked.rate, timeout_s=asked.timeout)
    result = {"rate_per_s": asked.rate, "rows": rows}
    RESULT.write_text(json.dumps(result) + "\n", encoding="utf-8")
    for ramp in RAMPS:
        draw(rows, ramp, PICTURES / f"ramp-{ramp}.svg")
    print(live_ramps_table(result))
    wanted = {"good": "promoted", "bad": "rolled_back"}
    return int(any(row["state"] != wanted[row["canary"]] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
