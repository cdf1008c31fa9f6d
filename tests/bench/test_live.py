"""What the live benchmarks make of their samples: slopes, tables, pictures. Their runs need a quiet machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench import latency, memory, windows
from bench.process_cost import cpu_s, rss_mb
from bench.stages import STAGES
from bench.worker import METRICS
from bench.worker_fold import fold_cost
from streams.worker.tiers import windows_max


@pytest.mark.parametrize("grows_mb", [0.0, 4.0])
def test_the_slope_is_that_of_the_samples(grows_mb: float) -> None:
    """With noise that lasts over neighbours the interval covers the truth; a fixed seed."""
    rng = np.random.default_rng(1)
    events = np.linspace(0.0, 10e6, 400)
    noise = np.repeat(rng.normal(0.0, 1.0, 100), 4)
    b, low, high = memory.slope(events, 150.0 + grows_mb * events / 10e6 + noise)
    assert low <= grows_mb / 10 <= high
    assert b == pytest.approx(grows_mb / 10, abs=0.1)


@pytest.mark.parametrize(("grows_mb", "flat"), [(0.0, True), (5.0, True), (40.0, False)])
def test_memory_that_grows_is_not_flat(grows_mb: float, flat: bool) -> None:
    """Five percent of what is resident is allowed over the whole run."""
    events = np.linspace(0.0, 10e6, 400)
    resident = 150.0 + grows_mb * events / 10e6 + np.random.default_rng(2).normal(0.0, 0.3, 400)
    samples = {"events": events.tolist(), "worker": resident.tolist()}
    found = memory.summary(samples, "worker", 10e6)
    assert found["flat"] is flat
    assert found["grows_mb"] == pytest.approx(grows_mb, abs=1.0)


def test_the_cost_of_a_process_is_its_own() -> None:
    """Resident memory grows by what is held, CPU time by what is done."""
    before_mb, before_s = rss_mb(os.getpid()), cpu_s(os.getpid())
    held = np.ones(16 << 20, dtype=np.float64)
    while cpu_s(os.getpid()) - before_s < 0.05:
        held += 1.0
    assert rss_mb(os.getpid()) - before_mb > 100


def test_a_day_of_windows_is_within_its_bound() -> None:
    """As many windows as are said, and packed: a few KB each at fifty requests a second."""
    found = windows.measure(1, 50.0)
    assert 0.9 * windows_max() <= found["windows"] <= windows_max()
    assert found["stored_mb"] * 2**20 / found["windows"] < 4_000


def test_twice_the_services_cost_the_worker_no_more_than_thrice() -> None:
    """Nothing in the fold is quadratic in the services of a partition. Ratios of CPU time, the least of three."""
    least = [
        min(fold_cost(services, 0, rate_per_s=5.0, seconds=2, metrics=METRICS)["cpu_ms_per_input"] for _ in range(3))
        for services in (20, 40)
    ]
    assert least[1] < 3.0 * least[0]


def test_tables_and_pictures_are_of_the_results(tmp_path: Path) -> None:
    """Every figure of a result is where people look for it."""
    row = {"n": 3, "median": 200.0, "p99": 300.0, "max": 310.0}
    decision = {"action": "advance"} | dict.fromkeys(STAGES, 50)
    rate: dict[str, Any] = {
        "rate_per_s": 50_000,
        "newest_event_to_route_ms": row,
        "bad_canary_to_rollback_ms": row | {"median": 450.0},
        "stages_ms": dict.fromkeys(STAGES, row | {"median": 50.0}),
        "decisions": [decision] * 3,
    }
    text = latency.latency_table({"cores": 2, "rates": [rate, rate | {"rate_per_s": 1_000}]})
    assert "| 50,000 events/s | 1,000 events/s |" in text
    assert "| 450 / 300 / 310 ms | 450 / 300 / 310 ms |" in text
    latency.draw({"rates": [rate, rate]}, tmp_path / "latency.svg")
    samples = {"events": [0.0, 1e6], "ingest": [90.0, 95.0], "worker": [150.0, 151.0]}
    memory.draw({"events": 10_000_000, "samples": samples}, tmp_path / "memory.svg")
    for name in ("latency", "memory"):
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")
