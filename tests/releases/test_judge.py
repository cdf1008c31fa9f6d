"""The judge: beats in, a verdict with its evidence out."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from detectors.state_codec import decode_state, encode_state
from detectors.summaries.counts import Counts
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import Judgement, assess
from releases.budget import fail_threshold, gate_weights, release_evidence
from releases.gates import gate_of
from releases.judge import JudgeState, begin_step, observe, start_judge
from releases.margins import margin_at
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan

PLAN = """
service: chat
baseline: v1
canaries: [v2]
alpha: 0.05
ramp: {kind: stages, steps: [{weight: 5%, hold: 1m}, {weight: 50%, hold: 1m}]}
metrics:
  - {name: error_rate, margin: 1%}
  - {name: latency_ms, margin: 10%}
"""


def plan_of(text: str = PLAN) -> Plan:
    return parse_plan(text, file="plan.yaml")


class Traffic:
    """Beats of made-up requests; fixed seed."""

    def __init__(self, seed: int, segments: tuple[str, ...] = ("",)) -> None:
        self.rng, self.segments, self.beat = np.random.default_rng(seed), segments, 0

    def arm(self, n: int, error_rate: float, latency_times: float = 1.0) -> Summary:
        latency_ms = self.rng.lognormal(math.log(180), 0.5, n) * latency_times
        return Summary(Rate(n, int(self.rng.binomial(n, error_rate))), {"latency_ms": Measure.of(latency_ms)})

    def feed(
        self, plan: Plan, state: JudgeState, beats: int, *, share: float = 0.05, bad: dict[str, tuple[float, float]]
    ) -> JudgeState:
        """``bad``: per segment the canary's error rate and the factor on its latency; others are healthy."""
        for _ in range(beats):
            self.beat += 1
            arms: dict[tuple[str, str], Summary] = {}
            for segment in self.segments:
                n = int(self.rng.poisson(100))
                n_canary = int(self.rng.binomial(n, share))
                error_rate, times = bad.get(segment, (0.01, 1.0))
                arms["v1", segment] = self.arm(n - n_canary, 0.01)
                if n_canary:
                    arms["v2", segment] = self.arm(n_canary, error_rate, times)
            state = observe(plan, state, arms, beat_end_ms=250 * self.beat)
        return state


def judged(plan: Plan, state: JudgeState, share_ppm: int = 1_000_000) -> Judgement:
    return assess(plan, state, running=("v2",), for_share_ppm=share_ppm)


def test_nothing_known_is_no_data() -> None:
    """Before any request there is no verdict that could open traffic."""
    said = judged(plan_of(), start_judge(plan_of()))
    assert said.verdict is Verdict.NO_DATA
    assert all(row.n_canary == 0 and row.baseline is None for row in said.evidence)


def test_a_metric_that_never_comes_is_no_data() -> None:
    """A gate without values holds the release, however good the other gates look."""
    plan, traffic = plan_of(), Traffic(1)
    state = start_judge(plan)
    for beat in range(200):
        arms = {("v1", ""): Summary(Rate(50, 0)), ("v2", ""): Summary(Rate(50, 0))}
        state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
    said = judged(plan, state, 50_000)
    assert said.verdict is Verdict.NO_DATA
    assert {row.metric: row.verdict for row in said.evidence}["error_rate"] is Verdict.PASS
    assert traffic.beat == 0


def test_a_healthy_canary_passes_an_early_step_before_the_promotion() -> None:
    """The margin of a step is margin / share: the evidence for 50 % comes long before that for everybody."""
    plan, traffic = plan_of(), Traffic(2)
    state = traffic.feed(plan, start_judge(plan), 50, bad={})
    assert judged(plan, state, 50_000).verdict is Verdict.PASS
    assert judged(plan, state).verdict is Verdict.INCONCLUSIVE
    state = traffic.feed(plan, state, 120, share=0.5, bad={})
    said = judged(plan, state)
    assert said.verdict is Verdict.PASS
    assert "worse is excluded" in said.reason


def test_promotion_asks_for_the_data_since_the_last_step() -> None:
    """After a new step the old evidence still opens steps, and does not promote."""
    plan, traffic = plan_of(), Traffic(3)
    state = traffic.feed(plan, start_judge(plan), 200, share=0.5, bad={})
    assert judged(plan, state).verdict is Verdict.PASS
    state = begin_step(plan, state)
    assert judged(plan, state).verdict is Verdict.INCONCLUSIVE
    assert judged(plan, state, 500_000).verdict is Verdict.PASS


def test_a_bad_canary_fails_and_the_sentence_says_why() -> None:
    """The reason names metric, both values, how many requests, and how often chance does that."""
    plan, traffic = plan_of(), Traffic(4)
    state = traffic.feed(plan, start_judge(plan), 100, bad={"": (0.08, 1.0)})
    said = judged(plan, state)
    assert said.verdict is Verdict.FAIL
    assert said.fail_action == "rollback"
    assert said.reason.startswith("error_rate ")
    assert "(v2) vs" in said.reason
    assert "requests of v2; at most 1 in" in said.reason
    row = next(row for row in said.evidence if row.verdict is Verdict.FAIL)
    assert row.effect is not None
    assert row.effect_low is not None
    assert 0.02 < row.effect < 0.12
    assert row.log_evidence is not None
    assert row.log_evidence >= math.log(1 / plan.alpha)


def test_harm_that_comes_late_is_told_in_the_numbers_of_the_newest_requests() -> None:
    """Both rates since the start are nearly equal then, and would explain nothing."""
    plan, traffic = plan_of(), Traffic(6)
    state = traffic.feed(plan, start_judge(plan), 400, share=0.5, bad={})
    while (said := judged(plan, state)).verdict is not Verdict.FAIL:
        assert traffic.beat < 440
        state = traffic.feed(plan, state, 1, share=0.5, bad={"": (0.06, 1.0)})
    found = re.fullmatch(
        r"error_rate (\S+) % \(v2\) vs (\S+) % \(v1\) in the last (\S+) requests of v2 "
        r"\((\S+) % vs (\S+) % in all (\S+)\); at most 1 in \d+ healthy releases would show this",
        said.reason,
    )
    assert found is not None, said.reason
    newest, _, last, whole, _, every = (float(number.replace(",", "")) for number in found.groups())
    assert 3.0 < newest < 10.0
    assert whole < 1.5
    assert 10 * last < every


def test_one_bad_segment_of_five_is_found_and_named() -> None:
    """A regression that the total hides is decided on by its segment."""
    plan = plan_of()
    traffic = Traffic(5, ("a", "b", "c", "d", "e"))
    state = traffic.feed(plan, start_judge(plan), 100, bad={"d": (0.10, 1.0)})
    said = judged(plan, state)
    assert said.verdict is Verdict.FAIL
    assert "in segment d" in said.reason


def test_a_plan_that_does_not_judge_by_segment_looks_at_the_total_alone() -> None:
    """The same regression in one segment goes on for longer; when the total shows it, no segment is named."""
    named, plan = plan_of(), plan_of(PLAN + "by_segment: false\n")
    traffic, bad = Traffic(4, tuple("abcdefghij")), {"d": (0.06, 1.0)}
    state = traffic.feed(plan, start_judge(plan), 200, bad=bad)
    by_segment, by_total = (judged(one, state) for one in (named, plan))
    assert by_segment.verdict is Verdict.FAIL and by_total.verdict is not Verdict.FAIL
    worse = judged(plan, traffic.feed(plan, state, 200, bad=dict.fromkeys("abcdefghij", (0.06, 1.0))))
    assert worse.verdict is Verdict.FAIL and {row.segment for row in worse.evidence} == {""}


def test_a_gate_that_only_holds_has_a_budget_of_its_own() -> None:
    """A failing gate with action hold asks for holding, and does not weaken the others."""
    plan = plan_of(PLAN.replace("margin: 10%", "margin: 10%, action: hold"))
    assert gate_weights(plan) == {"error_rate": 1.0}
    assert gate_weights(plan, "hold") == {"latency_ms": 1.0}
    traffic = Traffic(6)
    state = traffic.feed(plan, start_judge(plan), 100, bad={"": (0.01, 1.5)})
    said = judged(plan, state)
    assert (said.verdict, said.fail_action) == (Verdict.FAIL, "hold")


def test_drift_of_both_versions_during_a_ramp_is_no_effect() -> None:
    """Latency of both rises by 60 % while the share ramps from 2 % to 60 %: no verdict of harm (30 releases, alpha 5 %;
    more than 5 false alarms happen with a chance of 0.3 %)."""
    plan = plan_of()
    fired = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        state = start_judge(plan)
        worst = Verdict.PASS
        for beat in range(120):
            drift, share = 1 + 0.6 * beat / 120, 0.02 + 0.58 * beat / 120
            n_canary = int(rng.binomial(100, share))
            arms = {}
            for version, n in (("v1", 100 - n_canary), ("v2", n_canary)):
                if n:
                    latency_ms = rng.lognormal(5.0, 0.5, n) * drift
                    arms[version, ""] = Summary(Rate(n, 0), {"latency_ms": Measure.of(latency_ms)})
            state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
            worst = max(worst, judged(plan, state).verdict)
        fired += worst is Verdict.FAIL
    assert fired <= 5


def test_the_state_survives_the_codec() -> None:
    """A judge that was stored and loaded says the same and learns on alike."""
    plan, traffic = plan_of(), Traffic(7, ("eu", "us"))
    state = traffic.feed(plan, start_judge(plan), 30, bad={})
    loaded = decode_state(encode_state(state), JudgeState)
    assert judged(plan, loaded) == judged(plan, state)
    beat = {("v1", "eu"): traffic.arm(50, 0.01), ("v2", "asia"): traffic.arm(30, 0.01)}
    after, after_loaded = (observe(plan, s, beat, beat_end_ms=99_999) for s in (state, loaded))
    assert encode_state(after) == encode_state(after_loaded)


FEEDBACK = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 50%, hold: 1m}]}
metrics:
  - {name: error_rate, margin: 1%}
  - {name: feedback.rating, worse: lower, margin: 5%}
"""


def rated(
    plan: Plan, state: JudgeState, beats: range, *, ratings: int, versions: tuple[str, ...] = ("v1", "v2")
) -> JudgeState:
    """Beats with 50 requests of each version, and some ratings of earlier ones."""
    rng = np.random.default_rng(8)
    for beat in beats:
        arms = {}
        for version in versions:
            values = {"feedback.rating": Measure.of(rng.normal(4.2, 0.5, ratings))} if ratings else {}
            arms[version, ""] = Summary(Rate(50, 0), values)
        state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
    return state


def test_feedback_is_waited_for() -> None:
    """While requests flow, feedback that has not come yet is no silence: INCONCLUSIVE, with the numbers so far; and
    PASS takes enough of it."""
    plan = plan_of(FEEDBACK)
    state = rated(plan, start_judge(plan), range(100), ratings=0)
    said = judged(plan, state)
    assert said.verdict is Verdict.INCONCLUSIVE
    assert said.reason == (
        "feedback.rating: no feedback to compare yet after 5,000 requests of v2; 5 % worse is not excluded yet"
    )
    state = rated(plan, state, range(100, 104), ratings=3)
    said = judged(plan, state)
    assert said.verdict is Verdict.INCONCLUSIVE
    assert "after feedback on 12 of 5,200 requests of v2; 5 % worse is not excluded yet" in said.reason
    assert judged(plan, rated(plan, state, range(104, 200), ratings=5)).verdict is Verdict.PASS


def test_a_version_without_requests_is_not_waited_for() -> None:
    """No feedback from a canary that answers nothing is NO_DATA, like everything else of it."""
    plan = plan_of(FEEDBACK)
    state = rated(plan, start_judge(plan), range(20), ratings=3, versions=("v1",))
    assert {row.verdict for row in judged(plan, state).evidence if row.role == "gate"} == {Verdict.NO_DATA}


def test_versions_outside_the_plan_are_left_out() -> None:
    """A third version's requests are neither compared nor counted into blocks."""
    plan = plan_of()
    with_third = observe(plan, start_judge(plan), {("v9", ""): Summary(Rate(500, 500))}, beat_end_ms=250)
    assert encode_state(with_third.known) == encode_state(start_judge(plan).known)
    assert not with_third.blocks.open


@pytest.mark.parametrize(("share_ppm", "expected"), [(1_000_000, 0.01), (500_000, 0.02), (50_000, 0.2), (1_000, 0.99)])
def test_the_margin_of_a_step_is_the_margin_over_the_share(share_ppm: int, expected: float) -> None:
    """A point of errors for everybody is two points at 50 %, and never all of it."""
    plan = plan_of()
    assert margin_at(plan, plan.metrics[0], share_ppm) == pytest.approx(expected)
    strict = plan_of(PLAN + "advance: strict\n")
    assert margin_at(strict, strict.metrics[0], share_ppm) == pytest.approx(0.01)


def test_the_budget_averages_and_divides_by_versions() -> None:
    """Two gates: one alone needs twice the e-value; two canaries: twice the threshold."""
    plan = plan_of()
    alone = release_evidence(plan, {"error_rate": math.log(40), "latency_ms": -math.inf}, "rollback")
    assert alone == pytest.approx(math.log(20))
    assert fail_threshold(plan) == pytest.approx(math.log(20))
    two = plan_of(PLAN.replace("[v2]", "[v2, v3]").replace("50%", "40%"))
    assert fail_threshold(two) == pytest.approx(math.log(40))
    assert release_evidence(plan, {}, "hold") == 0.0


def test_gates_are_built_once() -> None:
    """A gate has no state, so one object serves every evaluation of its plan."""
    plan = plan_of()
    assert gate_of(plan, plan.metrics[0]) is gate_of(plan_of(), plan.metrics[0])


TAILS = PLAN.replace("margin: 10%}", "margin: 15%, statistic: p95}")


def test_a_quantile_is_learned_first_and_then_judged() -> None:
    """Until the baseline's p95 is known the gate waits and says so; then an equal canary passes a step."""
    plan, traffic = plan_of(TAILS), Traffic(11)
    state = traffic.feed(plan, start_judge(plan), 5, bad={})
    early = judged(plan, state, 50_000)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert any("still learning where that of v1 is" in row.sentence for row in early.evidence)
    state = traffic.feed(plan, state, 60, bad={})
    assert judged(plan, state, 50_000).verdict is Verdict.PASS
    loaded = decode_state(encode_state(state), JudgeState)
    assert judged(plan, loaded) == judged(plan, state)


def test_a_longer_tail_fails_and_the_sentence_names_the_threshold() -> None:
    """A canary that is 60 % slower: FAIL on the p95, in words that say above what, and how many of both are."""
    plan, traffic = plan_of(TAILS), Traffic(12)
    state = traffic.feed(plan, start_judge(plan), 100, bad={"": (0.01, 1.6)})
    said = judged(plan, state)
    assert said.verdict is Verdict.FAIL
    assert said.reason.startswith("latency_ms p95: ")
    assert "(v1) are above 4" in said.reason


def test_a_changed_output_mix_holds_and_names_the_value() -> None:
    """Three times as many answers are cut off: FAIL, in words that name the value; an equal mix passes a step."""
    text = PLAN.replace("latency_ms, margin: 10%}", "labels.finish_reason, margin: 5%, action: hold}")
    plan, rng = plan_of(text), np.random.default_rng(13)
    for cut, verdict in ((0.1, Verdict.PASS), (0.3, Verdict.FAIL)):
        state = start_judge(plan)
        for beat in range(150):
            arms = {}
            for version, n, share in (("v1", 60, 0.1), ("v2", 40, cut)):
                k = int(rng.binomial(n, share))
                labels = {"finish_reason": Counts({"length": max(k, 1), "stop": n - max(k, 1)})}
                arms[version, ""] = Summary(Rate(n, 0), {}, labels)
            state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
        said = judged(plan, state, 500_000)
        assert said.verdict is verdict
        assert judged(plan, decode_state(encode_state(state), JudgeState), 500_000) == said
    assert said.fail_action == "hold"
    assert said.reason.startswith("labels.finish_reason=")
