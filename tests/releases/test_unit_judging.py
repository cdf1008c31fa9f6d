"""The judge where events carry units: what is counted, what it shows, what it says."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.state_codec import decode_state, encode_state
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import Judgement, assess
from releases.judge import JudgeState, begin_step, observe, start_judge
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan, parse_plan
from tests.releases.visitors import HEALTHY, Bad, Visitors

PLAN = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 5%, hold: 1m}, {weight: 50%, hold: 1m}]}
metrics:
  - {name: error_rate, margin: 2%}
  - {name: latency_ms, margin: 20%}
  - {name: latency_ms, statistic: p50, margin: 30%}
  - {name: labels.finish_reason, margin: 10%}
"""


def plan_of(extra: str = "", text: str = PLAN) -> Plan:
    return parse_plan(text + extra, file="plan.yaml")


def after(
    plan: Plan, visitors: Visitors, beats: int, state: JudgeState | None = None, *, bad: Bad = HEALTHY, n: int = 100
) -> JudgeState:
    state = start_judge(plan) if state is None else state
    for _ in range(beats):
        arms, units = visitors.draw(bad, n=n)
        state = observe(plan, state, arms, beat_end_ms=250 * visitors.beat, units=units)
    return state


def judged(plan: Plan, state: JudgeState, share_ppm: int = 1_000_000) -> Judgement:
    return assess(plan, state, running=("v2",), for_share_ppm=share_ppm)


def gates(said: Judgement) -> dict[str, Evidence]:
    return {row.metric: row for row in said.evidence if row.role == "gate" and row.segment == ""}


def test_units_are_counted_where_events_carry_them() -> None:
    """The first closed block decides, for the whole release, and every gate is one on units."""
    plan = plan_of()
    state = after(plan, Visitors(1), 40)
    assert state.counting.counts == "unit"
    rows = gates(judged(plan, state))
    detectors = [rows[gate.label].detector for gate in plan.gates]
    assert detectors == ["unit-evalue", "unit-evalue", "unit-exceedance", "unit-mix"]
    assert rows["error_rate"].sentence.startswith("error_rate ")
    assert "requests of v2, counted by unit;" in rows["error_rate"].sentence
    bare = {("v1", ""): Summary(Rate(30, 0)), ("v2", ""): Summary(Rate(30, 0))}
    assert observe(plan, state, bare, beat_end_ms=250 * 41).counting.counts == "unit"


@pytest.mark.parametrize(("carried", "extra"), [(0.0, ""), (0.8, ""), (1.0, "independent: request")])
def test_requests_are_counted_otherwise(carried: float, extra: str) -> None:
    """Events without units, too few with one, or a plan that says so: requests, as before."""
    plan = plan_of(extra)
    state = after(plan, Visitors(1, carried=carried), 40)
    assert state.counting.counts == "request"
    said = judged(plan, state)
    assert gates(said)["error_rate"].detector == "evalue-2x2"
    assert "counted by unit" not in said.reason


@pytest.mark.parametrize("carried", [0.0, 0.3])
def test_units_that_are_asked_for_and_do_not_come_open_nothing(carried: float) -> None:
    """`independent: unit` with events that carry none, or few: NO_DATA for ever, and the sentence says why."""
    plan = plan_of("independent: unit")
    state = after(plan, Visitors(2, carried=carried), 120)
    said = judged(plan, state, 50_000)
    assert said.verdict is Verdict.NO_DATA
    assert "units are counted, and " in said.reason
    assert "requests of v1 carr" in said.reason
    assert "independent: request" in said.reason


def test_a_healthy_canary_passes_an_early_step_before_the_promotion() -> None:
    """PASS on units for all four kinds of gates, first for 50 %, later for everybody; a step asks for new data."""
    plan = plan_of()
    visitors = Visitors(3)
    state = after(plan, visitors, 60)
    assert judged(plan, state, 50_000).verdict is Verdict.PASS
    assert judged(plan, state).verdict is Verdict.INCONCLUSIVE
    state = after(plan, visitors, 250, state)
    said = judged(plan, state)
    assert said.verdict is Verdict.PASS, said.reason
    state = begin_step(plan, state)
    assert judged(plan, state).verdict is Verdict.INCONCLUSIVE
    assert judged(plan, state, 500_000).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("bad", "metrics"),
    [
        (Bad(failing=0.08), {"error_rate"}),
        (Bad(times=1.5), {"latency_ms", "latency_ms p50"}),
        (Bad(lengthy=0.4), {"labels.finish_reason"}),
    ],
    ids=["errors", "latency", "mix"],
)
def test_a_bad_canary_fails(bad: Bad, metrics: set[str]) -> None:
    """Harm is found by the gate that measures it, and the sentence says how rare that is."""
    plan = plan_of()
    said = judged(plan, after(plan, Visitors(4), 150, bad=bad))
    assert said.verdict is Verdict.FAIL
    assert {row.metric for row in said.evidence if row.verdict is Verdict.FAIL} <= metrics
    assert "counted by unit; at most 1 in" in said.reason


def test_requests_without_a_unit_count_too() -> None:
    """A canary whose failing requests carry no unit is found all the same."""
    plan, visitors = plan_of(), Visitors(5)
    state = start_judge(plan)
    for _ in range(200):
        arms, units = visitors.draw(n=96)
        good = arms["v2", ""]
        arms["v2", ""] = msgspec.structs.replace(good, requests=Rate(good.requests.n + 4, good.requests.k + 4))
        state = observe(plan, state, arms, beat_end_ms=250 * visitors.beat, units=units)
    said = judged(plan, state)
    assert (said.verdict, said.reason[:10]) == (Verdict.FAIL, "error_rate")


def test_harm_after_long_health_is_found() -> None:
    """After an hour of health, + 30 % latency is found from the late starts; the first start alone would dilute it."""
    plan = plan_of(text=PLAN.split("  - {name: error_rate", maxsplit=1)[0] + "  - {name: latency_ms, margin: 20%}\n")
    visitors = Visitors(6, users=8_000)
    state = after(plan, visitors, 1_500, n=40)
    assert judged(plan, state).verdict is not Verdict.FAIL
    state = after(plan, visitors, 280, state, n=40, bad=Bad(times=1.3))
    assert judged(plan, state).verdict is Verdict.FAIL


def test_the_state_survives_a_restart() -> None:
    """Stored and restored in the middle, the judge goes on to the same judgement."""
    plan, other = plan_of(), plan_of()
    straight = after(plan, Visitors(7), 80)
    visitors = Visitors(7)
    half = after(plan, visitors, 40)
    half = decode_state(encode_state(half), JudgeState)
    assert encode_state(after(other, visitors, 40, half)) == encode_state(straight)


def test_the_state_is_bounded() -> None:
    """With four gates on units and one segment a release's state stays below 200 KB, however long it runs."""
    plan, visitors = plan_of(), Visitors(8)
    state = after(plan, visitors, 300)
    size = len(encode_state(state))
    assert len(encode_state(after(plan, visitors, 300, state))) < size + 20_000
    assert size < 200_000


def test_the_interval_is_wider_where_users_resemble_themselves() -> None:
    """The effect's interval on units is that on requests, widened by the dependence seen in the baseline."""
    by_unit, by_request = (plan_of(f"independent: {what}") for what in ("unit", "request"))
    rows = [
        gates(judged(plan, after(plan, Visitors(9, users=300), 200)))["latency_ms"] for plan in (by_unit, by_request)
    ]
    widths = [(row.effect_high or np.nan) - (row.effect_low or np.nan) for row in rows]
    assert rows[0].effect == pytest.approx(rows[1].effect)
    assert widths[0] > 1.5 * widths[1]
