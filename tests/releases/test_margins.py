"""Which margin a step asks for: by the share that it opens, and the whole one where canaries have been learned."""

from __future__ import annotations

import pytest

from detectors.blocks import Block
from releases.counting import Counts
from releases.gates import gate_of
from releases.margins import judged_as_ppm, margin_at
from releases.ramps.adaptive import LEARNING_PPM_MAX
from schemas.plan import Plan
from schemas.units import PPM
from tests.releases.story import PLAN, plan_of
from tests.releases.visitors import Visitors

STAGES = "{kind: stages, steps: [{weight: 11.3906%, hold: 1m}, {weight: 50%, hold: 1m}]}"
ADAPTIVE = "{kind: adaptive, from: 11.3906%, to: 50%, harm_budget: 50}"
GATES = "[{name: error_rate, margin: 0.5%}, {name: latency_ms, margin: 10%, statistic: p50}]"


def with_ramp(ramp: str, more: str = "") -> Plan:
    return plan_of(f"{PLAN[: PLAN.index('ramp')]}ramp: {ramp}\nmetrics: {GATES}\n{more}")


@pytest.mark.parametrize("share_ppm", [10_000, LEARNING_PPM_MAX, LEARNING_PPM_MAX + 1, 500_000, PPM])
def test_an_adaptive_ramp_learns_within_a_fifth(share_ppm: int) -> None:
    """Up to a fifth a step asks for margin / share, beyond it for the margin; fixed stages for the former."""
    stages, adaptive = with_ramp(STAGES), with_ramp(ADAPTIVE)
    by_share = min(0.005 * PPM / share_ppm, 0.99)
    assert margin_at(stages, stages.gates[0], share_ppm) == pytest.approx(by_share)
    learned = share_ppm > LEARNING_PPM_MAX
    assert margin_at(adaptive, adaptive.gates[0], share_ppm) == pytest.approx(0.005 if learned else by_share)
    assert judged_as_ppm(adaptive, share_ppm) == (PPM if learned else share_ppm)
    assert judged_as_ppm(with_ramp(STAGES, "advance: strict\n"), share_ppm) == PPM


@pytest.mark.parametrize("counts", ["request", "unit"])
def test_so_does_a_quantile(counts: Counts) -> None:
    """Beyond a fifth its evidence is that of the promotion; by fixed stages a smaller share has more."""
    found = {}
    for ramp in (STAGES, ADAPTIVE):
        plan, visitors = with_ramp(ramp), Visitors(3, share=0.1)
        gate = gate_of(plan, plan.gates[1], counts)
        known = gate.start()
        for second in range(1, 200):
            arms = {version: arm for (version, _), arm in visitors.draw()[0].items()}
            known = gate.observe(known, [Block("eu", 1, 1_000 * second, 1_000 * second + 1_000, arms)], "v2")
        found[ramp] = [gate.excluded(known, share, recent=False) for share in (113_906, 500_000, PPM)]
    assert found[STAGES][0] > found[STAGES][1] > found[STAGES][2]
    assert found[ADAPTIVE][0] > found[ADAPTIVE][1] == found[ADAPTIVE][2]
    assert found[ADAPTIVE][2] == pytest.approx(found[STAGES][2])
