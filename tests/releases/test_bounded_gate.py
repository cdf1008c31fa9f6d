"""The gate on values with known limits: exact for any values within them, and honest about those outside."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.batches import RateBatch
from detectors.blocks import Block
from detectors.bounded_batches import bounded_batch
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.two_by_two import Alternatives, Tables, log_ratio
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import assess
from releases.bounded_gate import RATIOS
from releases.judge import JudgeState, observe, start_judge
from schemas.evidence import Verdict
from schemas.plan import parse_plan

PLAN = parse_plan("""
service: chat
baseline: v1
canaries: [v2]
independent: request
ramp: {kind: stages, steps: [{weight: 50%, hold: 1m}]}
metrics: [{name: feedback.rating, worse: lower, margin: 5%, range: [1, 5]}]
""")
Shape = tuple[float, ...]
VALUES = (0.0, 0.3, 0.75, 1.0)
SHAPES = ((0.7, 0.1, 0.1, 0.1), (0.0, 0.5, 0.5, 0.0), (0.1, 0.2, 0.3, 0.4), (0.5, 0.0, 0.0, 0.5), (0.0, 0.0, 1.0, 0.0))
"""Chances of the four values: spread out and narrow, low and high."""


def sums(shape: tuple[float, ...], n: int) -> list[tuple[float, float]]:
    """Every sum of n values with its chance."""
    found: dict[float, float] = {}
    for picks in product(range(len(VALUES)), repeat=n):
        total = round(sum(VALUES[i] for i in picks), 9)
        found[total] = found.get(total, 0.0) + float(np.prod([shape[i] for i in picks]))
    return list(found.items())


def expected(
    shapes: tuple[tuple[float, ...], tuple[float, ...]], ns: tuple[int, int], alternatives: Alternatives
) -> Floats:
    """The exact mean of each alternative's e-value over every pair of sums."""
    mean = np.zeros(alternatives.theta_b.shape[1])
    for (k_b, p_b), (k_c, p_c) in product(sums(shapes[0], ns[0]), sums(shapes[1], ns[1])):
        one = np.ones((1, 1))
        table = Tables(one * k_b, one * ns[0], one * k_c, one * ns[1])
        mean += p_b * p_c * np.exp(log_ratio(table, *alternatives))[0]
    return mean


@pytest.mark.parametrize("ns", [(1, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_of_every_e_value_is_at_most_one(shape: tuple[float, ...], ns: tuple[int, int]) -> None:
    """By enumeration: canaries whose mean is exactly the baseline's plus the tolerance, or plus the margin, whatever
    the two distributions look like; FAIL and PASS."""
    mean_b = float(np.dot(shape, VALUES))
    for other in SHAPES:
        gap = float(np.dot(other, VALUES)) - mean_b
        past = Evalue2x2(prior_rate=0.5).start().past
        if 0.0 <= gap < 1.0:
            fail = Evalue2x2(gap, prior_rate=0.5, ratios=RATIOS).alternatives(past, np.array([1]))
            assert expected((shape, other), ns, fail).max() <= 1.0 + 1e-9
        if 0.0 < gap < 1.0:
            bound = Margin2x2((gap,), prior_rate=0.5).alternatives(past, np.array([1]))
            assert expected((shape, other), ns, bound).max() <= 1.0 + 1e-9


def test_zeros_and_ones_are_counts() -> None:
    """For zeros and ones the batch is the one of an error rate."""
    arm = Summary(metrics={"x": Measure.of(np.array([0.0, 1.0, 1.0]))})
    batch = bounded_batch([Block("", 1, 0, 250, {"v1": arm, "v2": arm})], "x", (0.0, 1.0), baseline="v1", canary="v2")
    counts = RateBatch.of([(1, Rate(3, 2), Rate(3, 2))])
    assert np.allclose(batch.k_b, counts.k_b)
    assert np.allclose(batch.n_c, counts.n_c)


def fed(beats: int, *, lower: float = 0.0, wrong: float | None = None, state: JudgeState | None = None) -> JudgeState:
    """Ratings from 1 to 5 with a mean of 4.2, the canary's lower by so much."""
    rng, state = np.random.default_rng(4), state or start_judge(PLAN)
    start_ms = state.blocks.ended_ms
    for beat in range(1, beats + 1):
        arms = {}
        for version, shift in (("v1", 0.0), ("v2", lower)):
            values = np.clip(rng.normal(4.2 - shift, 0.6, 20), 1, 5)
            if wrong is not None and version == "v2":
                values[0] = wrong
            arms[version, ""] = Summary(Rate(20, 0), {"feedback.rating": Measure.of(values)})
        state = observe(PLAN, state, arms, beat_end_ms=start_ms + 250 * beat)
    return state


def test_lower_ratings_fail_and_equal_ones_pass() -> None:
    """Ratings that are 0.6 lower are found, equal ones pass, and sentences speak of ratings and of the range."""
    said = assess(PLAN, fed(60, lower=0.6), running=("v2",), for_share_ppm=1_000_000)
    assert said.verdict is Verdict.FAIL
    assert said.reason.startswith("feedback.rating 3.")
    said = assess(PLAN, fed(60), running=("v2",), for_share_ppm=1_000_000)
    assert said.verdict is Verdict.PASS
    assert said.reason.endswith("more than 0.2 (5 % of the range) worse is excluded")


def test_a_value_outside_the_range_is_an_error() -> None:
    """The plan is wrong, and nothing is clipped to make it right; the error stays."""
    state = fed(60, wrong=10.0)
    for one in (state, fed(5, state=state), decode_state(encode_state(state), JudgeState)):
        said = assess(PLAN, one, running=("v2",), for_share_ppm=1_000_000)
        assert said.verdict is Verdict.ERROR
        assert said.reason == ("feedback.rating: a value outside 1 to 5, the plan's range, was seen; nothing is known")


def test_healthy_ratings_hardly_ever_fail() -> None:
    """300 releases of 200 blocks with a drifting mean: more than 25 that ever reach 1/alpha happen with a chance of
    0.4 % at 5 %; narrow distributions make far fewer."""
    rng, rows, releases = np.random.default_rng(9), np.arange(1, 301), 300
    gate = Evalue2x2(0.0125, prior_rate=0.5, ratios=RATIOS)
    state, fired = gate.start(), np.zeros(releases, dtype=bool)
    for block in range(200):
        center = 0.5 + 0.2 * np.sin(block / 30)
        k_b, k_c = (rng.beta(6 * center, 6 * (1 - center), (n, releases)).sum(axis=0) for n in (15, 5))
        batch = RateBatch(rows, n_b=np.full(releases, 15.0), k_b=k_b, n_c=np.full(releases, 5.0), k_c=k_c)
        state = gate.observe(state, batch)
        fired |= gate.harm(state)[1:] >= np.log(20)
    assert fired.sum() <= 25
