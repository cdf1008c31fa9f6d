"""What an event costs ingest as there are more names, metrics, partitions and bytes: `python -m bench.growth`.

CPU time of one process without a broker: JSON records in, encoded reports out, at 40,000 events a second. So a slice of
250 ms has 10,000 events, and each cell that occurs in it is reported once, however few events it has.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from detectors.arrays import Ints
from schemas.inputs import encode_input
from schemas.report import SLICE_MS
from streams.ingest.aggregate import Aggregator
from streams.ingest.records import Records

RESULT = Path(__file__).parent / "results" / "growth.json"
PICTURE = RESULT.with_suffix(".svg")
EVENTS_PER_SLICE = 10_000
INPUT_PARTITIONS = 4
WARM = 2
"""Slices in which names are seen for the first time; not timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the traffic looks like.

    Parameters
    ----------
    services, versions, segments : how many names of each; every event draws one of each.
    metrics : values of an event, besides its latency.
    partitions : of the source topic.
    event_bytes : size of a record, at least; filled up with a field that ingest does not know.
    """

    services: int = 1
    versions: int = 2
    segments: int = 4
    metrics: int = 1
    partitions: int = 4
    event_bytes: int = 250


AXES: dict[str, tuple[int, ...]] = {
    "services": (1, 2, 5, 10, 20, 50, 100),
    "versions": (1, 2, 4, 8),
    "segments": (1, 2, 4, 8, 16, 32, 64),
    "metrics": (1, 2, 4, 8, 16),
    "partitions": (4, 8, 16, 32, 64),
    "event_bytes": (150, 250, 500, 1000, 2000),
}
"""What grows, one at a time; the rest is as :class:`Shape` says."""


def events(shape: Shape, now_ms: int) -> list[bytes]:
    """The JSON records of one slice."""
    rng = random.Random(1)
    drawn = []
    for _ in range(EVENTS_PER_SLICE):
        event: dict[str, Any] = {
            "service": f"s{rng.randrange(shape.services)}",
            "version": f"v{rng.randrange(shape.versions)}",
            "segment": f"g{rng.randrange(shape.segments)}",
            "ts_ms": now_ms,
            "latency_ms": round(rng.lognormvariate(5.2, 0.5), 2),
            "values": {f"m{at}": float(rng.randrange(1, 900)) for at in range(shape.metrics)},
        }
        raw = json.dumps(event, separators=(",", ":"))
        missing = shape.event_bytes - len(raw) - len(',"note":""')
        drawn.append((f'{raw[:-1]},"note":"{"x" * missing}"}}' if missing > 0 else raw).encode())
    return drawn


def cost(shape: Shape, slices: int) -> dict[str, float]:
    """CPU microseconds of an event, median over slices, and the cells of a slice's reports."""
    aggregator = Aggregator("growth", input_partitions=INPUT_PARTITIONS)
    start_ms = 1_700_000_000_000
    raw = events(shape, start_ms)
    source: Ints = np.arange(EVENTS_PER_SLICE, dtype=np.int64) % shape.partitions
    took_s: list[float] = []
    cells = 0
    for at in range(WARM + slices):
        records = Records(
            raw=raw,
            source=source,
            offset=np.arange(EVENTS_PER_SLICE, dtype=np.int64) + at * EVENTS_PER_SLICE,
            log_ms=np.full(EVENTS_PER_SLICE, start_ms + at * SLICE_MS, dtype=np.int64),
        )
        begun_s = time.process_time()
        closed, refused = aggregator.add(records)
        for reports in closed:
            for report in reports:
                encode_input(report)
        took_s.append(time.process_time() - begun_s)
        assert not refused, refused[0]
        cells = sum(len(report.cells) for reports in closed for report in reports)
    return {
        "us": round(1e6 * statistics.median(took_s[WARM:]) / EVENTS_PER_SLICE, 3),
        "cells": cells,
        "bytes": round(statistics.mean(map(len, raw))),
    }


def measure(slices: int) -> dict[str, list[dict[str, float]]]:
    """The cost along every axis."""
    return {
        axis: [{"at": size, **cost(replace(Shape(), **{axis: size}), slices)} for size in sizes]
        for axis, sizes in AXES.items()
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """Time of an event against each size, all on one scale; the same bytes for the same results."""
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        panels = figure.subplots(2, 3, sharey=True)
        for panel, (axis, rows) in zip(panels.flat, found["axes"].items(), strict=True):
            panel.plot([row["at"] for row in rows], [row["us"] for row in rows], "o-", color="#d62728", markersize=4)
            panel.set_xscale("log", base=2)
            sizes = [row["at"] for row in rows]
            panel.set_xticks(sizes, [str(size) for size in sizes])
            panel.set_xlabel(axis.replace("event_bytes", "bytes of an event"))
            panel.set_ylim(bottom=0)
        for panel in panels[:, 0]:
            panel.set_ylabel("CPU µs per event")
        figure.savefig(path, metadata={"Date": None})


def growth_table(found: dict[str, Any]) -> str:
    """The ends of every axis."""
    lines = ["| what grows | from → to | cells of a slice | CPU per event | each cell more |", "|---|---|---|---|---|"]
    for axis, rows in found["axes"].items():
        first, last = rows[0], rows[-1]
        name = axis.replace("event_bytes", "bytes of an event")
        cells = f"{first['cells']:,} → {last['cells']:,}"
        time_us = f"{first['us']:.2f} → {last['us']:.2f} µs"
        more = last["cells"] - first["cells"]
        each = f"{(last['us'] - first['us']) * found['events_per_slice'] / more:.0f} µs" if more else ""
        lines.append(f"| {name} | {first['at']} → {last['at']} | {cells} | {time_us} | {each} |")
    return "\n".join([*lines, "", "![CPU time of an event as each of them grows](results/growth.svg)"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=20, help="timed for each point (20)")
    asked = parser.parse_args()
    result = {"events_per_slice": EVENTS_PER_SLICE, "slices": asked.slices, "axes": measure(asked.slices)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result, PICTURE)
    print(growth_table(result))


if __name__ == "__main__":
    main()
