"""A step takes as many requests as the plan asks for, however much earlier steps have shown."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from detectors.state_codec import decode_state, encode_state
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import assess
from releases.explain import explain
from releases.judge import JudgeState, begin_step, observe, start_judge
from releases.ruling import rule
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan
from schemas.units import PPM
from streams.cli.simulate import read_world
from streams.offline.simulate import simulate
from tests.releases.story import PLAN

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
LEAST = 300
TEXT = PLAN.replace("ramp: {kind: stages,", f"ramp: {{kind: stages, min_requests: {LEAST},").replace("0.5%", "2%")


def fed(plan: Plan, state: JudgeState, beats: int, canary: str = "v2") -> JudgeState:
    """Beats of a second with 50 requests of the baseline and 50 of a canary, errors of 1 % each."""
    rng, start_ms = np.random.default_rng(5), state.blocks.ended_ms
    for beat in range(1, beats + 1):
        arms = {(v, ""): Summary(Rate(50, int(rng.binomial(50, 0.01)))) for v in ("v1", canary)}
        state = observe(plan, state, arms, beat_end_ms=start_ms + 1_000 * beat)
    return state


def test_a_pass_waits_for_the_requests_of_the_step() -> None:
    """Much evidence, but 250 of 300 requests in this step: no PASS, in words; with the 300th there is one."""
    plan = parse_plan(TEXT)
    state = begin_step(plan, fed(plan, start_judge(plan), 200))
    assert parse_plan(PLAN).ramp.min_requests == 0
    for beats, verdict in ((5, Verdict.INCONCLUSIVE), (1, Verdict.PASS)):
        state = decode_state(encode_state(fed(plan, state, beats)), JudgeState)
        assert rule(plan, state, running=("v2",), for_share_ppm=250_000).verdict is verdict
        said = assess(plan, state, running=("v2",), for_share_ppm=250_000)
        assert said.verdict is verdict
        short = said.reason == "v2 has answered 250 of at least 300 requests in this step"
        assert short is (verdict is Verdict.INCONCLUSIVE)


def test_of_several_canaries_each_answers_them() -> None:
    """The other one's requests do not count; one that the ramp does not move any more is not waited for."""
    plan = parse_plan(TEXT.replace("[v2]", "[v2, v3]"))
    state = fed(plan, fed(plan, start_judge(plan), 200), 200, "v3")
    state = fed(plan, begin_step(plan, state), 10)
    for running, verdict in ((("v2", "v3"), Verdict.INCONCLUSIVE), (("v2",), Verdict.PASS)):
        assert rule(plan, state, running=running, for_share_ppm=250_000).verdict is verdict
    said = assess(plan, state, running=("v2", "v3"), for_share_ppm=250_000)
    assert said.reason == "v3 has answered 0 of at least 300 requests in this step"


def test_a_closed_loop() -> None:
    """No step of a healthy release is over before its number of requests at its share, and it is promoted."""
    plan = parse_plan(TEXT)
    found = simulate(read_world(SCENARIOS / "healthy.yaml", plan), plan, seed=1)
    assert found.run.state is State.PROMOTED
    steps = [d for d in found.decisions if d.action in {Action.START, Action.ADVANCE, Action.PROMOTE}]
    assert len(steps) == 4
    for before, after in pairwise(steps):
        expected = 50 * (after.at_ms - before.at_ms) / 1_000 * before.weights_ppm["v2"] / PPM
        # A thousandth of Poisson counts is this far below what is expected.
        assert expected + 3.1 * expected**0.5 >= LEAST


def test_the_plan_says_so() -> None:
    """`plan check` names the number, and the time that it takes."""
    lines = explain(parse_plan(TEXT), 50)
    first = next(line for line in lines if line.startswith("Step 1 of 3: 1 %"))
    assert first.startswith("Step 1 of 3: 1 %, held for 2m and 300 requests at least; then step 2 when excluded: ")
    assert first.endswith("Expected to last 10m.")
