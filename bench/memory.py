"""What ingest and worker keep in memory: `python -m bench.memory`.

Ten million events of 20 services through a real pipeline on a real broker: the first part as JSON, the rest packed, at
a steady pace. Resident memory is sampled twice a second; it is flat when the slope after warm-up is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

from bench.ingest import RESULTS, broker
from bench.live_load import Load, Service
from bench.process_cost import rss_mb
from detectors.arrays import Floats
from tests.e2e.pipeline import Pipeline, pipeline, wait_for

SERVICES = 20
LIMITS_MB = {"ingest": 200, "worker": 300}
SAMPLE_S = 0.5
WARM = 1 / 3
"""This part of the events comes before memory has to be flat."""

PARTS = 12
FLAT = 0.05
"""Growth over a whole run, as a part of what is resident, up to which memory is called flat."""

PICTURE = RESULTS / "memory.svg"


def slope(events: Floats, resident_mb: Floats) -> tuple[float, float, float]:
    """Growth of memory with the events: the estimate and its 95 % interval, MB per million events.

    Samples half a second apart are not independent: a line is fitted through the means of PARTS stretches, whose errors
    are taken as independent, with a Student interval of PARTS - 2 degrees of freedom.

    Parameters
    ----------
    events : [n] how many there had been at each sample, ascending.
    resident_mb : [n] memory then.

    >>> x = np.arange(120.0)
    >>> [round(found, 3) for found in slope(1e6 * x, 100.0 + 0.5 * x)]
    [0.5, 0.5, 0.5]
    """
    x = np.array([part.mean() for part in np.array_split(events, PARTS)]) / 1e6
    y = np.array([part.mean() for part in np.array_split(resident_mb, PARTS)])
    around = x - x.mean()
    b = float((around * y).sum() / (around**2).sum())
    left = y - y.mean() - b * around
    error = float(np.sqrt((left**2).sum() / (PARTS - 2) / (around**2).sum()))
    half = float(student.ppf(0.975, PARTS - 2)) * error
    return b, b - half, b + half


def summary(samples: dict[str, list[float]], name: str, total: float) -> dict[str, float | bool]:
    """Peak and slope of one process; ``grows_mb`` are over as many events as the whole run has."""
    events, resident_mb = np.array(samples["events"]), np.array(samples[name])
    warm = events >= WARM * total
    b, low, high = (total / 1e6 * one for one in slope(events[warm], resident_mb[warm]))
    level = float(resident_mb[warm].mean())
    return {
        "peak_mb": round(float(resident_mb.max()), 1),
        "mean_mb": round(level, 1),
        "grows_mb": round(b, 2),
        "grows_mb_low": round(low, 2),
        "grows_mb_high": round(high, 2),
        "limit_mb": LIMITS_MB[name],
        "flat": b <= FLAT * level or low <= 0.0,
    }


def measure(running: Pipeline, *, total: int, rate_per_s: int, json_part: float) -> dict[str, Any]:
    """Run the load and look at both processes all the time."""
    ingest, worker = running.ingest(), running.worker()
    worker.wait_ready()
    names = [f"memory-{i}" for i in range(SERVICES)]
    parts = [Service(running, name, rate_per_s / SERVICES, routed=False) for name in names]
    pids = {"ingest": ingest.popen.pid, "worker": worker.process.popen.pid}
    samples: dict[str, list[float]] = {"s": [], "events": [], "ingest": [], "worker": []}
    began_s = time.monotonic()
    with Load(running, parts) as load:
        while load.events < total:
            load.plain = load.events < json_part * total
            time.sleep(SAMPLE_S)
            samples["s"].append(round(time.monotonic() - began_s, 2))
            samples["events"].append(float(load.events))
            for name, pid in pids.items():
                samples[name].append(round(rss_mb(pid), 2))
    wait_for(
        lambda: sum(worker.counted(name) for name in names) == load.events,
        120,
        what="every event is counted",
        dump=running.logs,
    )
    return {
        "events": load.events,
        "services": SERVICES,
        "json_part": json_part,
        "seconds": samples["s"][-1],
        "processes": {name: summary(samples, name, load.events) for name in pids},
        "samples": samples,
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """Memory against events, with the limits; the same bytes for the same results."""
    samples, colours = found["samples"], {"ingest": "#1f77b4", "worker": "#d62728"}
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        for name, colour in colours.items():
            axes.plot(np.array(samples["events"]) / 1e6, samples[name], color=colour, label=name)
            axes.axhline(LIMITS_MB[name], color=colour, linestyle=":", linewidth=1)
        axes.axvline(WARM * found["events"] / 1e6, color="#7f7f7f", linewidth=0.8)
        axes.set_xlabel("million events (right of the line memory has to be flat)")
        axes.set_ylabel("resident, MB")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None})


def memory_table(found: dict[str, Any]) -> str:
    """Both processes."""
    lines = ["| process | peak | limit | grows over all events (95 % interval) | flat |", "|---|---|---|---|---|"]
    for name, row in found["processes"].items():
        grows = f"{row['grows_mb']:+.1f} MB ({row['grows_mb_low']:+.1f} to {row['grows_mb_high']:+.1f})"
        flat = "yes" if row["flat"] else "no"
        lines.append(f"| {name} | {row['peak_mb']:.0f} MB | {row['limit_mb']} MB | {grows} | {flat} |")
    about = (
        f"{found['events']:,} events of {found['services']} services in {found['seconds']:.0f} s, "
        f"the first {found['json_part']:.0%} as JSON, each counted once."
    )
    return "\n".join([*lines, "", about, "", "![Resident memory against events](results/memory.svg)"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rate", type=int, default=50_000, help="events a second, all services together (50,000)")
    parser.add_argument("--json", type=float, default=0.1, help="this part of the events comes as JSON (0.1)")
    asked = parser.parse_args(arguments)
    prefix = f"memory-{uuid.uuid4().hex[:8]}."
    with (
        tempfile.TemporaryDirectory() as folder,
        broker(asked.brokers) as brokers,
        pipeline(brokers, prefix, Path(folder)) as running,
    ):
        result = measure(running, total=asked.events, rate_per_s=asked.rate, json_part=asked.json)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "memory.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    draw(result, PICTURE)
    print(memory_table(result))


if __name__ == "__main__":
    main()
