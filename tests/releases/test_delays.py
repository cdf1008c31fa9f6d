"""How long feedback takes: what is kept of it, what rows and sentences say of it, and gates on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from detectors.state_codec import decode_state, encode_state
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.delays import ENOUGH
from releases.judge import JudgeState, observe, start_judge
from schemas.evidence import Delay, Verdict
from schemas.plan import EXAMPLE, Plan, parse_plan
from tests.releases.test_judge import FEEDBACK, judged, plan_of

MINUTE_MS = 60_000.0
ON_DELAY = FEEDBACK + "  - {name: feedback.latency_ms, margin: 20%}\n"


def rated(
    plan: Plan, beats: range, delay_ms: Mapping[str, float | None], *, ratings: int = 3, state: JudgeState | None = None
) -> JudgeState:
    """Beats with 50 requests of each version and some ratings, whose delays are lognormal around a median."""
    rng = np.random.default_rng(9)
    state = state or start_judge(plan)
    for beat in beats:
        arms = {}
        for version, median_ms in delay_ms.items():
            metrics = {"feedback.rating": Measure.of(rng.normal(4.2, 0.5, ratings))}
            if median_ms is not None:
                metrics["feedback.latency_ms"] = Measure.of(median_ms * rng.lognormal(0.0, 0.5, ratings))
            arms[version, ""] = Summary(Rate(50, 0), metrics)
        state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
    return state


def test_the_delay_of_both_versions_stands_in_row_and_sentence() -> None:
    """Median and nine tenths of each version's delays, right to 1 %, beside the gate on feedback and no other."""
    plan = plan_of(FEEDBACK)
    state = rated(plan, range(400), {"v1": 5 * MINUTE_MS, "v2": 5 * MINUTE_MS})
    rows = {row.metric: row for row in judged(plan, state).evidence}
    assert rows["error_rate"].canary_delay is rows["error_rate"].baseline_delay is None
    for delay in (rows["feedback.rating"].canary_delay, rows["feedback.rating"].baseline_delay):
        assert delay is not None and delay.n == 1200
        assert delay.ms_p50 == pytest.approx(5 * MINUTE_MS, rel=0.06)
        assert delay.ms_p90 == pytest.approx(5 * MINUTE_MS * np.exp(0.5 * 1.2816), rel=0.1)
    said = rows["feedback.rating"].sentence
    assert "after feedback on 1,200 of 20,000 requests of v2, half of it within " in said
    assert " min (v1: " in said and "it comes later" not in said


def test_nothing_is_said_where_events_do_not_say_it() -> None:
    """Feedback without a delay leaves rows and sentences as they are; of a baseline without one only the canary's."""
    plan = plan_of(FEEDBACK)
    row = judged(plan, rated(plan, range(20), {"v1": None, "v2": None})).evidence[-1]
    assert (row.canary_delay, row.baseline_delay) == (None, None) and "half of it" not in row.sentence
    row = judged(plan, rated(plan, range(20), {"v1": None, "v2": MINUTE_MS})).evidence[-1]
    assert row.canary_delay is not None and row.baseline_delay is None
    assert "after feedback on 60 of 1,000 requests of v2, half of it within " in row.sentence
    assert "(v1: " not in row.sentence


def test_feedback_that_comes_later_is_named_as_a_bias() -> None:
    """Half as long again as the baseline's is said, once each version has enough; feedback that comes sooner is not:
    the baseline's from before the release comes late and to it alone."""
    plan, later = plan_of(FEEDBACK), "it comes later, and what is still missing may be unlike what came"
    slow = {"v1": 5 * MINUTE_MS, "v2": 12 * MINUTE_MS}
    assert later in judged(plan, rated(plan, range(20), slow)).evidence[-1].sentence
    few = rated(plan, range(ENOUGH - 1), slow, ratings=1)
    assert later not in judged(plan, few).evidence[-1].sentence
    assert (
        later in judged(plan, rated(plan, range(ENOUGH - 1, ENOUGH), slow, ratings=1, state=few)).evidence[-1].sentence
    )
    quick = {"v1": 12 * MINUTE_MS, "v2": 5 * MINUTE_MS}
    assert later not in judged(plan, rated(plan, range(20), quick)).evidence[-1].sentence


def test_delays_are_kept_only_where_a_gate_is_on_feedback_and_stay_small() -> None:
    """A plan without such a gate keeps none of them; with one, ten thousand delays between a millisecond and a day
    take less than 12 KB a version, and a stored state goes on alike."""
    other = parse_plan(EXAMPLE + "  - {name: feedback.rating, role: observe}\n")
    assert rated(other, range(20), {"v1": MINUTE_MS, "v2": MINUTE_MS}).delays == {}
    plan = plan_of(FEEDBACK)
    wide = Measure.of(np.geomspace(1.0, 86_400_000.0, 10_000))
    arms = {(version, ""): Summary(Rate(50, 0), {"feedback.latency_ms": wide}) for version in ("v1", "v2", "v9")}
    state = start_judge(plan)
    for beat in range(4):
        state = observe(plan, state, arms, beat_end_ms=250 * (beat + 1))
    assert set(state.delays) == {"v1", "v2"} and len(encode_state(state.delays)) < 24_000
    loaded = decode_state(encode_state(state), JudgeState)
    assert judged(plan, loaded) == judged(plan, state)
    assert judged(plan, state).evidence[-1].canary_delay == Delay(40_000, *_quantiles(wide))


def _quantiles(measure: Measure) -> tuple[float, float]:
    half, most = measure.histogram.quantile(0.5), measure.histogram.quantile(0.9)
    assert half is not None and most is not None
    return half, most


def test_a_gate_may_be_on_the_delay_itself() -> None:
    """`feedback.latency_ms` is a metric like others: it passes when equal, fails when longer, in words of its own."""
    plan = plan_of(ON_DELAY)
    same = judged(plan, rated(plan, range(300), {"v1": 5 * MINUTE_MS, "v2": 5 * MINUTE_MS}, ratings=5))
    assert same.verdict is Verdict.PASS
    slow = judged(plan, rated(plan, range(300), {"v1": 5 * MINUTE_MS, "v2": 9 * MINUTE_MS}, ratings=5))
    assert slow.verdict is Verdict.FAIL
    assert slow.reason.startswith("feedback.latency_ms 10 min (v2) vs 5.")
    assert "after feedback on 1,500 of 15,000 requests of v2" in slow.reason


@pytest.mark.parametrize(
    "line", ["margin: 20%, statistic: p95", "margin: 20%", "role: observe", "role: observe, statistic: p50"]
)
def test_a_plan_may_name_the_delay(line: str) -> None:
    """As a gate or only watched, by its mean or a quantile."""
    metric = parse_plan(FEEDBACK + f"  - {{name: feedback.latency_ms, {line}}}\n").metrics[-1]
    assert metric.delayed and metric.name == "feedback.latency_ms"
