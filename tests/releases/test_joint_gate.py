"""The joint gate in the judge: what it learns, when it knows nothing, what it says, and that it harms nobody."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detectors.coordinates import vectors_of
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.scatter import Scatter
from detectors.summaries.summary import Summary
from releases.assessment import Judgement, assess
from releases.expected_requests import canary_requests
from releases.explain import explain
from releases.joint_gate import ENOUGH, LEARN_VALUES
from releases.judge import JudgeState, basis_of, begin_step, observe, start_judge
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan, parse_plan
from schemas.units import PPM

TEXT = """
service: chat
baseline: v1
canaries: [v2]
alpha: 0.05
ramp: {kind: stages, steps: [{weight: 5%, hold: 1m}, {weight: 50%, hold: 1m}]}
metrics:
  - {name: error_rate, margin: 50%}
  - {name: joint, of: [latency_ms, values.tokens_out, values.confidence]}
"""
PLAN = parse_plan(TEXT)
METRICS = ("latency_ms", "values.tokens_out", "values.confidence")


class Traffic:
    """Beats of 100 requests; vectors are counted in whatever basis the judge has learned. Fixed seed."""

    def __init__(self, seed: int, *, share: float = 0.2, plan: Plan = PLAN) -> None:
        self.rng, self.share, self.plan, self.beat = np.random.default_rng(seed), share, plan, 0

    def arm(self, n: int, state: JudgeState, rho: float, shift: float, missing: str = "") -> Summary:
        z = self.rng.normal(size=(n, 3))
        z[:, 1] = rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
        z += shift * np.array([1.0, -1.0, 1.0])
        x = np.stack([180 * np.exp(0.5 * z[:, 0]), 200 * np.exp(0.8 * z[:, 1]), 0.8 + 0.1 * z[:, 2]], axis=1)
        measures = {name: Measure.of(x[:, at]) for at, name in enumerate(METRICS) if name != missing}
        learned = basis_of(self.plan, state)
        vectors = {} if learned is None else {learned.number: Scatter.of(vectors_of(x, learned.coordinates))}
        return Summary(Rate(n, 0), measures, scatters={} if missing else vectors)

    def feed(
        self, state: JudgeState, beats: int, *, rho: float = 0.7, shift: float = 0.0, segment: str = "", **more: str
    ) -> JudgeState:
        """So many beats; the canary's correlation and shifts are its own."""
        for _ in range(beats):
            self.beat += 1
            n_c = round(100 * self.share)
            arms = {
                ("v1", segment): self.arm(100 - n_c, state, 0.7, 0.0),
                ("v2", segment): self.arm(n_c, state, rho, shift, **more),
            }
            state = observe(self.plan, state, arms, beat_end_ms=self.beat * 250)
        return state


def said(state: JudgeState, for_share_ppm: int = PPM, plan: Plan = PLAN) -> tuple[Judgement, Evidence]:
    """The judgement, and the joint gate's row in it."""
    judgement = assess(plan, state, running=("v2",), for_share_ppm=for_share_ppm)
    return judgement, next(row for row in judgement.evidence if row.metric == "joint")


def test_what_is_usual_is_learned_of_the_baseline() -> None:
    """The basis comes with the first block after enough values of the baseline, numbered by its time, and stays."""
    traffic, state = Traffic(1), start_judge(PLAN)
    state = traffic.feed(state, LEARN_VALUES // 80)
    assert basis_of(PLAN, state) is None
    state = traffic.feed(state, 1)
    basis = basis_of(PLAN, state)
    assert basis is not None and basis.number == traffic.beat * 250
    assert [(one.metric, one.scale) for one in basis.coordinates][:2] == [
        ("latency_ms", basis.coordinates[0].scale),
        ("values.tokens_out", basis.coordinates[1].scale),
    ]
    assert {one.scale for one in basis.coordinates[:2]} <= {"log", "log1p"} and basis.coordinates[2].scale == "raw"
    assert basis_of(PLAN, traffic.feed(state, 20)) == basis


def test_until_enough_is_compared_it_knows_nothing() -> None:
    """NO_DATA without values, INCONCLUSIVE while it learns and compares, and only then does it let pass."""
    traffic, state = Traffic(2), start_judge(PLAN)
    assert said(state)[1].verdict is Verdict.NO_DATA
    state = traffic.feed(state, 1)
    row = said(state)[1]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.sentence == (
        "joint: still learning what is usual of latency_ms, values.tokens_out and values.confidence in v1, "
        "80 of 200 requests"
    )
    state = traffic.feed(state, 6)
    row = said(state)[1]
    assert row.verdict is Verdict.INCONCLUSIVE and row.n_canary < ENOUGH
    assert "it takes 100 of each version in this step to judge" in row.sentence
    state = traffic.feed(state, 6)
    judgement, row = said(state)
    assert row.verdict is Verdict.PASS and row.n_canary >= ENOUGH
    assert row.sentence.startswith("joint: latency_ms, values.tokens_out and values.confidence differ no more than by")
    assert judgement.verdict is Verdict.PASS


def test_promotion_asks_for_enough_since_the_last_step() -> None:
    """After a step the promotion waits for as many requests again; the next step does not."""
    traffic = Traffic(3)
    state = begin_step(PLAN, traffic.feed(start_judge(PLAN), 20))
    assert said(state, 500_000)[1].verdict is Verdict.PASS
    assert said(state, PPM)[1].verdict is Verdict.INCONCLUSIVE
    assert said(traffic.feed(state, 6), PPM)[1].verdict is Verdict.PASS


def test_a_metric_that_is_not_sent_is_named() -> None:
    """A canary without one of the metrics opens nothing, and the sentence says which."""
    state = Traffic(4).feed(start_judge(PLAN), 1, missing="values.confidence")
    judgement, row = said(state)
    assert row.verdict is judgement.verdict is Verdict.NO_DATA
    assert row.sentence == "joint: nothing of values.confidence of v2 yet"
    later = Traffic(4).feed(start_judge(PLAN), 30, missing="values.confidence")
    assert said(later)[1].verdict is Verdict.NO_DATA
    assert "no request that carries latency_ms, values.tokens_out and values.confidence" in said(later)[1].sentence


def test_a_changed_correlation_holds_and_is_named() -> None:
    """Each metric by itself is as before: the gate holds, and says which two no longer go together."""
    state = Traffic(5).feed(start_judge(PLAN), 40, rho=-0.2)
    judgement, row = said(state)
    assert (judgement.verdict, judgement.fail_action) == (Verdict.FAIL, "hold")
    assert judgement.reason == row.sentence
    assert "most of all the correlation of latency_ms and values.tokens_out, -0." in row.sentence
    assert row.baseline == pytest.approx(0.7, abs=0.1) and row.canary == pytest.approx(-0.2, abs=0.15)
    assert "healthy releases would show this" in row.sentence


def test_shifts_are_told_in_the_metrics_own_unit() -> None:
    """Small shifts of all three at once fail together; the sentence has both values and the shift."""
    state = Traffic(6).feed(start_judge(PLAN), 60, shift=0.4)
    judgement, row = said(state)
    assert judgement.verdict is Verdict.FAIL
    assert " (v2) vs " in row.sentence and " standard deviations" in row.sentence
    assert row.effect is not None and 0.25 < abs(row.effect) < 0.6


def test_a_segment_that_fails_is_named() -> None:
    """A difference in one of two segments is found there."""
    traffic, state = Traffic(7), start_judge(PLAN)
    for _ in range(60):
        state = traffic.feed(state, 1, segment="eu")
        state = traffic.feed(state, 1, segment="us", rho=-0.6)
    judgement, _ = said(state)
    failed = [row for row in judgement.evidence if row.verdict is Verdict.FAIL]
    assert failed[0].segment == "us" and "in segment us" in failed[0].sentence


def test_a_plan_may_roll_back() -> None:
    """With `action: rollback` the gate shares the rollbacks' alpha; by itself it holds and has one of its own."""
    plan = parse_plan(TEXT.replace("values.confidence]}", "values.confidence], action: rollback}"))
    traffic = Traffic(5, plan=plan)
    judgement, _ = said(traffic.feed(start_judge(plan), 60, rho=-0.2), plan=plan)
    assert (judgement.verdict, judgement.fail_action) == (Verdict.FAIL, "rollback")


def test_vectors_of_another_basis_are_not_evidence() -> None:
    """What an ingest has counted in a basis of another release, or of another length, changes nothing."""
    state = Traffic(8).feed(start_judge(PLAN), 30)
    basis = basis_of(PLAN, state)
    assert basis is not None
    strange = Scatter.of(np.random.default_rng(9).normal(50.0, 1.0, (200, 6)))
    short = Scatter.of(np.random.default_rng(9).normal(50.0, 1.0, (200, 3)))
    before = said(state)[1]
    for number, scatter in ((basis.number - 1, strange), (basis.number + 1, strange), (basis.number, short)):
        arm = Summary(Rate(200, 0), scatters={number: scatter})
        after = observe(PLAN, state, {("v1", ""): arm, ("v2", ""): arm}, beat_end_ms=100_000)
        assert said(after)[1].log_evidence == before.log_evidence


def test_the_state_survives_being_stored() -> None:
    """Before the basis, with it, and later: the decoded state says the same and goes on alike."""
    for beats in (1, 3, 30):
        traffic = Traffic(10)
        state = traffic.feed(start_judge(PLAN), beats)
        again = decode_state(encode_state(state), JudgeState)
        assert said(again) == said(state) and basis_of(PLAN, again) == basis_of(PLAN, state)
        other = Traffic(11)
        other.beat = traffic.beat
        more = Traffic(11)
        more.beat = traffic.beat
        assert said(other.feed(again, 3)) == said(more.feed(state, 3))


def test_plan_check_says_what_it_does() -> None:
    """Its alpha, that it holds, that it excludes nothing, and how long it waits."""
    lines = explain(PLAN, 50.0)
    (gate,) = [line for line in lines if line.startswith("joint:")]
    assert gate == (
        "joint: any difference of latency_ms, values.tokens_out and values.confidence together holds the share "
        "(alpha 0.05); it excludes nothing: it learns what is usual of v1, and passes when 100 requests of each "
        "version show no difference."
    )
    assert any("error_rate worse by" in line and "; joint waits for about" in line for line in lines)
    assert any("joint counts requests one by one" in line for line in lines)
    small, large = (canary_requests(PLAN, PLAN.gates[1], weight_ppm=w, for_share_ppm=PPM) for w in (50_000, 750_000))
    assert small == ENOUGH and large == pytest.approx(3 * ENOUGH)
