"""What a day of windows takes: `python -m bench.windows`. No broker.

Services whose windows are all there, of two versions and four segments, a latency, a value and a label: as they are
stored, and as they are held in memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import msgspec
import numpy as np

from bench.ingest import RESULTS
from bench.process_cost import rss_mb
from detectors.summaries.counts import Counts
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.report import PANE_MS
from streams.worker.service_windows import ServiceWindows
from streams.worker.stored_records import encode_value
from streams.worker.stored_windows import StoredWindow, at_rest
from streams.worker.table_keys import window_key
from streams.worker.tiers import TIERS, Span, edges_at, windows_max
from streams.worker.windows import Window

NOW_MS = 1_763_632_800_000
SEGMENTS = ("eu", "us", "ap", "af")
SHARES = {"v1": 0.9, "v2": 0.1}
MADE = 8
"""Different windows of each width; others are copies with bytes of their own."""


def spans(service: str) -> Iterator[Span]:
    """All windows of a service that has had requests for more than a day."""
    edges = edges_at(service, NOW_MS)
    found = {edges.home(pane) for pane in range(edges.firsts[-1], NOW_MS // PANE_MS + 1)}
    yield from sorted(span for span in found if span is not None)


def window(span: Span, rate_per_s: float, rng: np.random.Generator) -> Window:
    """A full window at some requests a second of the whole service."""
    cells = []
    for version, share in SHARES.items():
        for segment in SEGMENTS:
            n = max(2, round(rate_per_s * share / len(SEGMENTS) * span.panes * PANE_MS / 1000))
            metrics = {
                "latency_ms": Measure.of(rng.lognormal(5.2, 0.5, n).round(2)),
                "values.tokens_out": Measure.of(rng.integers(1, 900, n).astype(np.float64)),
            }
            labels = {"finish_reason": Counts({"stop": n - n // 10 - 1, "length": n // 10 + 1})}
            summary = Summary(Rate(n, n // 100), metrics, labels)
            cells.append(summary.to_cell(service="", version=version, segment=segment, pane=span.first))
    return Window("", span.first, 1, tuple(cells), panes=span.panes)


def measure(services: int, rate_per_s: float) -> dict[str, Any]:
    """Fill memory with all windows of all services, and count bytes."""
    rng = np.random.default_rng(1)
    pool = {tier.panes: [window(Span(0, tier.panes), rate_per_s, rng) for _ in range(MADE)] for tier in TIERS}
    before_mb, held, stored_bytes, most = rss_mb(os.getpid()), [], 0, 0
    for number in range(services):
        service = f"service-{number}"
        found: dict[Span, StoredWindow] = {}
        for at, span in enumerate(spans(service)):
            made = msgspec.structs.replace(pool[span.panes][at % MADE], service=service, pane=span.first)
            found[span] = at_rest(made)
            stored_bytes += len(encode_value(found[span])) + len(window_key("0" * 16, service, span).encode())
        held.append(ServiceWindows(service, found))
        most = max(most, len(found))
    return {
        "services": services,
        "rate_per_s": rate_per_s,
        "windows": most,
        "stored_mb": round(stored_bytes / 2**20, 1),
        "rss_mb": round(rss_mb(os.getpid()) - before_mb, 1),
    }


def windows_table(found: dict[str, Any]) -> str:
    """By how many requests a service has."""
    lines = [
        "| requests/s of each service | windows of a service | on the changelog | in memory |",
        "|---|---|---|---|",
    ]
    for row in found["rows"]:
        sizes = f"{row['stored_mb']:.0f} MB | {row['rss_mb']:.0f} MB"
        lines.append(f"| {row['rate_per_s']:g} | {row['windows']} | {sizes} |")
    about = f"{found['services']} services; a service has at most {found['windows_max']} windows."
    return "\n".join([*lines, "", about])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 50.0, 1000.0])
    asked = parser.parse_args()
    # A process of its own for each: memory that was freed would hide what the next one takes.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        rows = list(pool.map(partial(measure, asked.services), asked.rates))
    result = {"services": asked.services, "windows_max": windows_max(), "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "windows.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(windows_table(result))


if __name__ == "__main__":
    main()
