"""Ramps: every one grows strictly, begins and ends where the plan says, and takes the time it says."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releases.ramps.adaptive import (
    LEAP_FACTOR_MAX,
    LEARNING_PPM_MAX,
    RUNG_FACTOR,
    adaptive_stages,
    fastest_way,
    within_reach,
)
from releases.ramps.exponential import exponential_stages
from releases.ramps.linear import HOLD_MS_AT_LEAST, STEPS_AT_MOST, linear_stages
from releases.ramps.ramp import stages_of
from releases.ramps.stage import Stage
from schemas.plan import check_rules
from schemas.ramp import STEPS_MAX, Adaptive, Exponential, Linear
from schemas.units import PPM, Duration, Share
from tests.releases.story import plan_of

ENDS = st.tuples(st.integers(1, PPM - 1), st.integers(1, PPM - 1)).filter(lambda ends: ends[0] < ends[1])


def _grows(stages: tuple[Stage, ...], low: int, high: int) -> None:
    weights = [stage.weight_ppm for stage in stages]
    assert (weights[0], weights[-1]) == (low, high)
    assert all(a < b for a, b in pairwise(weights))


@given(ends=ENDS, over_ms=st.integers(1, 10**9))
def test_linear(ends: tuple[int, int], over_ms: int) -> None:
    """At most 20 equal steps of at least a second that take the time ``over``, rounding aside."""
    stages = linear_stages(Linear(from_=Share(ends[0]), to=Share(ends[1]), over=Duration(over_ms)))
    _grows(stages, *ends)
    assert 2 <= len(stages) <= STEPS_AT_MOST
    holds_ms = {stage.hold_ms for stage in stages}
    assert len(holds_ms) == 1
    assert min(holds_ms) >= HOLD_MS_AT_LEAST
    if over_ms >= 2 * HOLD_MS_AT_LEAST:
        assert over_ms - len(stages) < sum(stage.hold_ms for stage in stages) <= over_ms


@given(ends=ENDS)
def test_linear_is_a_line(ends: tuple[int, int]) -> None:
    """y = m x + b: no step differs from another by more than the rounding to whole ppm."""
    stages = linear_stages(Linear(from_=Share(ends[0]), to=Share(ends[1]), over=Duration(3_600_000)))
    rises = [b.weight_ppm - a.weight_ppm for a, b in pairwise(stages)]
    assert max(rises) - min(rises) <= 2


@given(ends=ENDS, factor=st.floats(1.01, 100))
def test_exponential(ends: tuple[int, int], factor: float) -> None:
    """Every share is the factor times the one before, at least 1 ppm more, and the last is the end."""
    stages = exponential_stages(
        Exponential(from_=Share(ends[0]), to=Share(ends[1]), factor=factor, every=Duration(5_000))
    )
    _grows(stages, *ends)
    assert {stage.hold_ms for stage in stages} == {5_000}
    for before, after in pairwise(stages[:-1]):
        assert after.weight_ppm <= max(before.weight_ppm * factor + factor, before.weight_ppm + 1.5)


@given(ends=ENDS, factor=st.floats(1.01, 100))
def test_exponential_has_as_many_steps_as_the_plan_allows(ends: tuple[int, int], factor: float) -> None:
    """The plan's check counts steps by a formula; what the ramp makes is never more, one of rounding aside."""
    ramp = Exponential(from_=Share(ends[0]), to=Share(ends[1]), factor=factor, every=Duration(5_000))
    plan = plan_of()
    try:
        check_rules(type(plan)(plan.service, plan.baseline, plan.canaries, ramp, plan.metrics))
    except ValueError:
        return
    assert len(stages_of(ramp)) <= STEPS_MAX + 1


@given(ends=ENDS, opened=st.integers(1, 40), present_ppm=st.integers(1, PPM), canaries=st.integers(1, 3))
def test_adaptive(ends: tuple[int, int], opened: int, present_ppm: int, canaries: int) -> None:
    """A ladder of at most 40 rungs; from each rung the next is in reach, and beyond it nothing that is a large leap.

    Nothing is in reach beyond the share in which canaries are learned while there is a rung within it.
    """
    ramp = Adaptive(from_=Share(ends[0]), to=Share(ends[1]), harm_budget=50, hold=Duration(60_000))
    rungs = adaptive_stages(ramp)
    _grows(rungs, *ends)
    assert len(rungs) <= 40
    for before, after in pairwise(rungs):
        assert after.weight_ppm <= max(before.weight_ppm * RUNG_FACTOR + 1, before.weight_ppm + 1.5)
    reach = within_reach(ramp, opened=opened, present_ppm=present_ppm, canaries=canaries)
    assert reach == rungs[opened : opened + len(reach)]
    assert (len(reach) == 0) == (opened >= len(rungs))
    assert all(rung.weight_ppm <= LEAP_FACTOR_MAX * present_ppm for rung in reach[1:])
    learning = [rung for rung in reach if rung.weight_ppm * canaries <= LEARNING_PPM_MAX]
    assert len(learning) in {0, len(reach)}
    way = fastest_way(ramp, canaries)
    assert way[-1] == rungs[-1]
    within = [rung for rung in rungs if rung.weight_ppm * canaries <= LEARNING_PPM_MAX]
    assert not within or within[-1] in way


@pytest.mark.parametrize("kind", ["stages", "linear", "exponential", "adaptive"])
def test_every_kind_has_stages(kind: Literal["stages", "linear", "exponential", "adaptive"]) -> None:
    """The dispatcher knows every ramp that a plan can have."""
    ramps = {
        "stages": plan_of().ramp,
        "linear": Linear(from_=Share(10), to=Share(20), over=Duration(60_000)),
        "exponential": Exponential(from_=Share(10), to=Share(20), factor=2.0, every=Duration(60_000)),
        "adaptive": Adaptive(from_=Share(10), to=Share(20), harm_budget=50),
    }
    assert stages_of(ramps[kind])[0].weight_ppm in {10, 10_000}
