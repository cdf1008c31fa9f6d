"""Gates that each release of a fleet has for itself are the worker's gates."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.blocks import Block
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram, bin_of
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.gates import gate_of
from schemas.plan import parse_plan
from schemas.units import PPM
from streams.offline.fleet_columns import Columns, N, columns_of
from streams.offline.fleet_lone_gates import LoneGates
from tests.streams.offline.worlds import PLAN, world

TAIL = """  - {name: latency_ms, margin: 40%, statistic: p95}
  - {name: labels.finish_reason, margin: 9%}
"""


@pytest.mark.parametrize("which", [2, 3], ids=["quantile", "mix"])
def test_a_lone_gate_is_the_workers(which: int) -> None:
    """Evidence of harm and of its absence, in all and since a step, of the second release, after the first has gone."""
    plan = parse_plan(PLAN + TAIL)
    metric, columns = plan.metrics[which], columns_of(world(metrics=plan), plan, by_unit=False)
    lone, gate = LoneGates(plan, metric, columns, releases=2), gate_of(plan, metric)
    rng, known = np.random.default_rng(4), gate.start()
    for t in range(1, 161):
        sums, arms = np.zeros((2, 2, columns.width)), {}
        for side, version in enumerate(("v1", "v2")):
            values, stops = rng.lognormal(5.2 - 0.4 * side, 0.5, 30 + 10 * side), 20 + 7 * side
            _fill(sums[0, side], columns, values, stops)
            histogram = {"latency_ms": Measure(histogram=LogHistogram.of(values))}
            labels = {"finish_reason": Counts({"stop": stops, "length": values.size - stops})}
            arms[version] = Summary(Rate(values.size, 0), histogram, labels)
        sums[1] = sums[0]
        both = np.array([0, 1]) if t <= 80 else np.array([0])
        lone.observe(both, np.ones_like(both), sums[: both.size], ended_ms=1_000 * t)
        known = gate.observe(known, [Block("", 1, 0, 1_000 * t, arms)], "v2")
        if t == 80:
            lone.keep(np.array([1]))
            lone.begin_step(0)
            known = gate.begin_step(known)
    assert lone.known(1).all()
    np.testing.assert_allclose(lone.evidence(1), gate.evidence(known))
    np.testing.assert_allclose(lone.harm(0), gate.harm(known))
    whole, recent = (gate.excluded(known, PPM, recent=recent) for recent in (False, True))
    assert recent < whole
    np.testing.assert_allclose(lone.excluded(np.array([0]), np.array([PPM])), recent)
    early = gate.excluded(known, 500_000, recent=False)
    np.testing.assert_allclose(lone.excluded(np.array([0]), np.array([500_000])), early)


def _fill(arm: Floats, columns: Columns, values: Floats, stops: int) -> None:
    """Write what an arm answered into the columns of its sums: stop, length, then the histogram's bins."""
    arm[N] = values.size
    arm[columns.first_label : columns.first_bin] = stops, values.size - stops
    np.add.at(arm, columns.first_bin + bin_of(values) - columns.spans["latency_ms"].start, 1.0)
