"""The harm budget of an adaptive ramp: its bound holds, and a release never opens more than it affords."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.batches import RateBatch
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import assess
from releases.harm import BOUND, GRID, HarmState, Reckoning, reckon, smallest_excluded, worse_at_most
from releases.judge import JudgeState, begin_step, observe, start_judge
from releases.ruling import rule
from schemas.decision import State
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan
from schemas.units import PPM
from streams.cli.simulate import read_world
from streams.offline.simulate import Simulated, simulate
from tests.releases.story import MINUTE_MS, PLAN, Story, plan_of

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
ADAPTIVE = PLAN[: PLAN.index("ramp")] + (
    "ramp: {kind: adaptive, from: 1%, to: 50%, harm_budget: 50}\nmetrics: [{name: error_rate, margin: 0.5%}]\n"
)


@pytest.mark.parametrize("difference", [0.0, 0.01, 0.04])
def test_the_bound_is_right_at_every_look(difference: float) -> None:
    """The truth is below the bound at every one of 150 looks, in all but at most 5 % of releases (200 releases; more
    than 20 that ever err happen with a chance of 0.3 %). The bound must also become useful."""
    rng = np.random.default_rng(7)
    bound, releases, erred = BOUND.start(), 200, np.zeros(200, dtype=bool)
    rows, n_b, n_c = np.arange(1, releases + 1), np.full(releases, 45.0), np.full(releases, 5.0)
    for _ in range(150):
        rate = 0.01 + 0.01 * rng.random(releases)  # drifts for both
        k_b, k_c = rng.binomial(45, rate).astype(float), rng.binomial(5, rate + difference).astype(float)
        bound = BOUND.observe(bound, RateBatch(rows, n_b=n_b, k_b=k_b, n_c=n_c, k_c=k_c))
        upper = np.array([smallest_excluded(evidence) for evidence in BOUND.excluded(bound)[1:]])
        erred |= upper < difference
    assert erred.sum() <= 20
    assert np.median(upper) < 4 * difference + 0.025


def test_nothing_known_is_the_worst() -> None:
    """Before any evidence every request of the canary may fail."""
    assert worse_at_most(HarmState({"v2": BOUND.start()}, {"v2": 0}), "v2") == 1.0
    assert GRID[-1] < 1.0


def test_what_a_step_may_cost() -> None:
    """What was spent, and the share of the expected traffic times the bound; unknown without traffic."""
    assert Reckoning(10.0, 2_000.0).after(50_000) == 110.0
    assert Reckoning(10.0, None).after(50_000) is None


def fed(plan: Plan, beats: int, errors: float, state: JudgeState | None = None) -> JudgeState:
    """Beats of a second with 95 requests of the baseline and 5 of the canary."""
    rng = np.random.default_rng(3)
    state = state or start_judge(plan)
    start_ms = state.harm.until_ms or 0
    for beat in range(1, beats + 1):
        arms = {
            ("v1", ""): Summary(Rate(95, int(rng.binomial(95, 0.01)))),
            ("v2", ""): Summary(Rate(5, int(rng.binomial(5, errors)))),
        }
        state = observe(plan, state, arms, beat_end_ms=start_ms + 1_000 * beat)
    return state


def test_a_pass_needs_the_budget_too() -> None:
    """The gate excludes its margin at 50 %, and a minute there might cost more than the budget: no PASS."""
    plan = parse_plan(ADAPTIVE.replace("margin: 0.5%", "margin: 5%").replace("budget: 50", "budget: 20"))
    state = fed(plan, 60, 0.01)
    small, large = (rule(plan, state, running=("v2",), for_share_ppm=share) for share in (15_000, 500_000))
    assert (small.verdict, large.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    said = assess(plan, state, running=("v2",), for_share_ppm=500_000)
    assert said.verdict is Verdict.INCONCLUSIVE
    assert said.reason.startswith("harm budget: up to ")
    assert " of 20 extra failed requests so far, up to " in said.reason
    assert said.reason.endswith("after a step to 50 %: not yet opened")
    assert "harm budget: up to" in assess(plan, state, running=("v2",), for_share_ppm=15_000).reason
    fixed = parse_plan(PLAN.replace("0.5%", "5%"))
    assert rule(fixed, fed(fixed, 60, 0.01), running=("v2",), for_share_ppm=500_000).verdict is Verdict.PASS


def test_the_traffic_is_measured_since_the_step_began() -> None:
    """A step's harm is reckoned with the traffic of the last one, not of the day."""
    plan = parse_plan(ADAPTIVE)
    state = fed(plan, 60, 0.01)
    per_share = reckon(plan, state.harm, ("v2",)).per_share
    assert per_share is not None
    assert per_share == pytest.approx(100 * 60 * worse_at_most(state.harm, "v2"), rel=0.02)
    begun = begin_step(plan, state)
    assert reckon(plan, begun.harm, ("v2",)).per_share is None
    assert reckon(plan, begun.harm, ("v2",)).spent == reckon(plan, state.harm, ("v2",)).spent
    assert rule(plan, begun, running=("v2",), for_share_ppm=15_000).verdict is Verdict.INCONCLUSIVE


def test_the_state_survives_the_codec() -> None:
    """A stored judge reckons the same."""
    plan = parse_plan(ADAPTIVE)
    state = fed(plan, 30, 0.01)
    loaded = decode_state(encode_state(state), JudgeState)
    assert reckon(plan, loaded.harm, ("v2",)) == reckon(plan, state.harm, ("v2",))


def test_the_machine_leaps_as_far_as_the_evidence_speaks() -> None:
    """A PASS for 3.375 % opens 3.375 % and not one rung; a PASS for everybody opens five times the share at most, and
    nothing beyond a fifth of the traffic before the highest rung within it."""
    story = Story(plan_of(ADAPTIVE)).keep(Verdict.PASS, MINUTE_MS, share_ppm=33_750)
    assert story.release.weights_ppm == {"v1": 966_250, "v2": 33_750}
    assert story.last.reason == "Opened v2 at 3.375 % (v2 from 1 %; step 4 of 11): error_rate says PASS."
    story.keep(Verdict.PASS, MINUTE_MS, share_ppm=PPM)
    assert story.release.weights_ppm["v2"] == 113_906
    story.keep(Verdict.PASS, MINUTE_MS, share_ppm=PPM)
    assert story.release.weights_ppm["v2"] == 170_859
    story.keep(Verdict.PASS, MINUTE_MS, share_ppm=PPM)
    assert story.release.weights_ppm["v2"] == 500_000
    story.keep(Verdict.PASS, MINUTE_MS)
    assert story.release.state is State.PROMOTED


def released(scenario: str, seed: int) -> Simulated:
    plan = parse_plan(ADAPTIVE)
    return simulate(read_world(SCENARIOS / f"{scenario}.yaml", plan), plan, seed=seed)


def test_a_healthy_release_is_fast() -> None:
    """Closed loop, 50 requests a second: the highest rung within a fifth after three holds in at least 4 of 5 releases,
    everything within twenty minutes; at most one is rolled back (more than one: a chance of 2 % at alpha 5 %)."""
    quick = done = rolled_back = 0
    for seed in range(5):
        found = released("healthy", seed)
        learning = [d.at_ms for d in found.decisions if d.weights_ppm.get("v2", 0) >= 170_859]
        quick += bool(learning) and learning[0] - found.decisions[0].at_ms <= 3 * MINUTE_MS
        promoted = found.run.state is State.PROMOTED and found.run.decided_at_ms is not None
        done += promoted and found.decisions[-1].at_ms - found.decisions[0].at_ms <= 20 * MINUTE_MS
        rolled_back += found.run.state is State.ROLLED_BACK
    assert quick >= 4
    assert done >= 4
    assert rolled_back <= 1


def test_beyond_a_fifth_the_whole_margin_is_excluded_first() -> None:
    """What opens a quarter of the traffic by fixed stages opens a fifth by an adaptive ramp, and no quarter."""
    plan = parse_plan(ADAPTIVE.replace("budget: 50", "budget: 100000"))
    state = fed(plan, 150, 0.01)
    learning, quarter = (rule(plan, state, running=("v2",), for_share_ppm=share) for share in (170_859, 256_289))
    assert (learning.verdict, quarter.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    fixed = parse_plan(PLAN)
    assert rule(fixed, fed(fixed, 150, 0.01), running=("v2",), for_share_ppm=250_000).verdict is Verdict.PASS


def test_a_harmful_release_stays_within_its_budget() -> None:
    """Errors 1 → 5 %: at most 50 extra failed requests in each of 10 releases, whatever the ramp did."""
    for seed in range(10):
        run = released("errors-1-to-5", seed).run
        assert run.state is State.ROLLED_BACK
        assert run.canary_requests_at_decision is not None
        assert run.canary_requests_at_decision * 0.04 <= 50
