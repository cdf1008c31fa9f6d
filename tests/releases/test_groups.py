"""Opening by user group: who gets which share when, and that all users together are never risked beyond the margin."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from detectors.batches import RateBatch
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import assess
from releases.gates import GROUP_SHARES_PPM
from releases.groups import Group, GroupsAsked, allotted_ppm, asked_of
from releases.judge import JudgeState, observe, start_judge
from releases.margins import Margins, margin_at
from releases.ruling import PASS_THRESHOLD, rule
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan
from schemas.rule import Rule
from schemas.scenario import parse_scenario
from schemas.units import PPM
from streams.offline.drawing import World
from streams.offline.simulate import simulate
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, Story, plan_of

GROUPS = PLAN.replace("stages,", "stages, segments: [[internal], [beta, friends], ['*']],").replace(
    ", {weight: 25%, hold: 5m}", ""
)


def test_groups_join_one_after_another() -> None:
    """Each group takes both steps while those before it keep the last share and those after it have none."""
    story = Story(plan_of(GROUPS)).keep(Verdict.PASS, 21 * MINUTE_MS)
    assert [d.action for d in story.decisions] == [Action.START, *[Action.ADVANCE] * 5, Action.PROMOTE]
    internal, both = ("internal",), ("beta", "friends")
    nobody = {"v1": PPM}
    assert [(d.rules, d.weights_ppm) for d in story.decisions] == [
        ((Rule(internal, {"v2": 10_000}),), nobody),
        ((Rule(internal, {"v2": 50_000}),), nobody),
        ((Rule(internal, {"v2": 50_000}), Rule(both, {"v2": 10_000})), nobody),
        ((Rule(internal, {"v2": 50_000}), Rule(both, {"v2": 50_000})), nobody),
        ((Rule(internal, {"v2": 50_000}), Rule(both, {"v2": 50_000})), {"v1": 990_000, "v2": 10_000}),
        ((Rule(internal, {"v2": 50_000}), Rule(both, {"v2": 50_000})), {"v1": 950_000, "v2": 50_000}),
        ((), {"v2": PPM}),
    ]
    assert [r.rules for r in story.routes if r.epoch == 4] == [story.decisions[3].rules] * 30
    assert story.decisions[0].reason.startswith("Started v2 at 1 % for internal beside v1, held for 2m at least")
    assert story.decisions[2].reason == "Opened v2 at 1 % for beta and friends (group 2 of 3): error_rate says PASS."
    assert story.decisions[5].reason == (
        "Opened v2 at 5 % for everyone else (v2 from 1 %; step 2 of 2): error_rate says PASS."
    )


def test_a_rollback_takes_all_groups_back() -> None:
    """No rule survives a rollback, and the sentence says whose step it was."""
    story = Story(plan_of(GROUPS)).keep(Verdict.PASS, 8 * MINUTE_MS)
    story.judge(Verdict.FAIL)
    assert (story.last.rules, story.last.weights_ppm) == ((), {"v1": PPM})
    assert story.routes[-1].rules == ()
    assert story.last.reason == "Rolled back v2 from 1 % for beta and friends: error_rate says FAIL."


def test_a_group_that_has_taken_its_steps_is_watched_while_the_next_has_none() -> None:
    """At 0 % for the second group the first one still meets the canary: no report, no lease, and then no release."""
    story = Story(plan_of(GROUPS)).keep(Verdict.PASS, 8 * MINUTE_MS)
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=0)
    assert story.last.rules[0] == Rule(("internal",), {"v2": 50_000})
    sent = len(story.routes)
    for _ in range(20):
        story.wait(MINUTE_MS).tick()
    assert story.last.action is Action.ROLLBACK
    assert {route.rules for route in story.routes[sent:]} == {()}


def test_a_canary_that_was_stopped_does_not_come_back_with_the_others_order() -> None:
    """v3 is stopped for internal users, then v2 for the next group: internal users keep v2 and do not get v3 again."""
    story = Story(plan_of(GROUPS.replace("[v2]", "[v2, v3]"))).wait(SECOND_MS)
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=0)
    story.keep(Verdict.PASS, 8 * MINUTE_MS)
    assert story.release.group == 1
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=0)
    assert story.last.rules[0] == Rule(("internal",), {"v2": 50_000})
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=5_000)
    assert story.refusals == [
        "v3 was stopped and the user groups that came first do not meet it any more; start a new release"
    ]
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=5_000)
    assert story.last.rules[1] == Rule(("beta", "friends"), {"v2": 5_000, "v3": 0})


def test_groups_before_meet_who_is_left() -> None:
    """Both canaries are stopped for the second group, one after the other: internal users keep the last one."""
    story = Story(plan_of(GROUPS.replace("[v2]", "[v2, v3]"))).keep(Verdict.PASS, 8 * MINUTE_MS)
    for version in ("v2", "v3"):
        story.command(Verb.SET_WEIGHT, version=version, weight_ppm=0)
        assert story.last.rules[0] == Rule(("internal",), {"v3": 50_000})


def test_an_operator_moves_the_group_that_is_at_it() -> None:
    """A weight set by hand is that of the present group; promotion is everybody's."""
    story = Story(plan_of(GROUPS))
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=40_000)
    assert story.last.rules == (Rule(("internal",), {"v2": 40_000}),)
    assert story.last.reason.startswith("Set v2 at 4 % for internal, before at 1 %")
    story.command(Verb.PROMOTE)
    assert story.release.state is State.PROMOTED
    assert story.routes[-1].rules == ()
    assert story.last.weights_ppm == {"v2": PPM}


def test_what_each_step_gives_to_whom() -> None:
    """The judge is asked about the shares after the step, by the groups that were shown the canary before it."""
    story = Story(plan_of(GROUPS))
    assert asked_of(story.release) == GroupsAsked((50_000, 0, 0), 1)
    story.keep(Verdict.PASS, 2 * MINUTE_MS)
    assert asked_of(story.release) == GroupsAsked((50_000, 10_000, 0), 1)
    story.keep(Verdict.PASS, 18 * MINUTE_MS)
    assert asked_of(story.release) == GroupsAsked((PPM, PPM, PPM), 3)
    assert asked_of(Story().release) is None


PLANS = [parse_plan(GROUPS), parse_plan(GROUPS.replace("error_rate, margin: 0.5%", "latency_ms, margin: 20%"))]


@given(
    requests=st.tuples(*[st.integers(0, 10**6)] * 3),
    shares=st.tuples(*[st.sampled_from([10_000, 50_000, PPM])] * 3),
    plan=st.sampled_from(PLANS),
)
def test_all_users_together_are_within_the_margin(
    requests: tuple[int, ...], shares: tuple[int, ...], plan: Plan
) -> None:
    """Σ share of requests × share of canaries × margin of the group is at most the plan's margin, for the margins that
    the gates really hold the groups to."""
    gate = plan.gates[0]
    asked = allotted_ppm(plan, gate, [Group(n, {}) for n in requests], GroupsAsked(shares, 3))
    margins = Margins(plan, gate, {PPM} | set(GROUP_SHARES_PPM))
    held = [margins.grid[margins.column(share)] for share in asked]
    total = sum(requests)
    risk = sum((n / total if total else 1 / 3) * w / PPM * m for n, w, m in zip(requests, shares, held, strict=True))
    assert risk <= float(gate.margin or 0) * 1.001


@given(count=st.integers(1, 8), data=st.data())
def test_no_group_is_asked_for_more_than_the_grid_holds(count: int, data: st.DataObject) -> None:
    """The largest share that groups can be asked about is on the grid: a laxer margin would be taken otherwise."""
    requests = data.draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count).filter(any))
    asked = allotted_ppm(
        PLANS[0], PLANS[0].gates[0], [Group(n, {}) for n in requests], GroupsAsked((PPM,) * count, count)
    )
    assert max(asked) <= max(GROUP_SHARES_PPM)


def test_a_canary_at_the_margin_is_rarely_promoted() -> None:
    """Two groups with 20 and 80 % of the users; the harm, all of it in the larger one, puts all users exactly at the
    margin. Of 300 releases with 150 looks at most 5 % pass in both groups (more than 25: chance 0.4 %)."""
    plan, rng, releases = PLANS[0], np.random.default_rng(11), 300
    gate = plan.gates[0]
    asked = allotted_ppm(plan, gate, [Group(20, {}), Group(80, {})], GroupsAsked((PPM, PPM), 2))
    passed = np.zeros((2, 150, releases), dtype=bool)
    rows = np.arange(1, releases + 1)
    for group, (share_ppm, harm) in enumerate(zip(asked, (0.0, 0.005 / 0.8), strict=True)):
        bound = Margin2x2((margin_at(plan, gate, share_ppm),))
        state, n = bound.start(), np.full(releases, (40.0, 160.0)[group])
        for look in range(150):
            k_b, k_c = rng.binomial(n.astype(int), 0.01), rng.binomial(n.astype(int), 0.01 + harm)
            state = bound.observe(state, RateBatch(rows, n_b=n, k_b=k_b.astype(float), n_c=n, k_c=k_c.astype(float)))
            passed[group, look] = bound.excluded(state)[1:, 0] >= PASS_THRESHOLD
    assert passed[0].any(axis=0).mean() > 0.9
    assert passed.all(axis=0).any(axis=0).sum() <= 25


def fed(plan: Plan, beats: int, rates: dict[str, tuple[float, int, float]]) -> JudgeState:
    """Per segment: the canary's share, the requests of a beat, and the canary's error rate; the baseline's is 1 %."""
    rng, state = np.random.default_rng(5), start_judge(plan)
    for beat in range(1, beats + 1):
        arms = {}
        for segment, (share, n, rate) in rates.items():
            k = int(n * share)
            arms["v1", segment] = Summary(Rate(n - k, int(rng.binomial(n - k, 0.01))))
            if k:
                arms["v2", segment] = Summary(Rate(k, int(rng.binomial(k, rate))))
        state = observe(plan, state, arms, beat_end_ms=250 * beat)
    return state


def test_every_group_has_to_pass_by_itself() -> None:
    """Much evidence from internal users says nothing of beta users; the sentence names the group that is missing."""
    plan = parse_plan(GROUPS)
    state = fed(plan, 60, {"internal": (0.5, 100, 0.01), "beta": (0.05, 40, 0.01), "eu": (0.0, 200, 0.0)})
    asked = GroupsAsked((500_000, 500_000, 0), 2)
    said = assess(plan, state, running=("v2",), for_share_ppm=500_000, groups=asked)
    assert said.verdict is Verdict.INCONCLUSIVE
    assert "in segment beta, friends after 120 requests of v2" in said.reason
    first = GroupsAsked((500_000, 10_000, 0), 1)
    assert rule(plan, state, running=("v2",), for_share_ppm=10_000, groups=first).verdict is Verdict.PASS
    rows = {row.segment: row.verdict for row in said.evidence if row.role == "gate"}
    assert rows["internal"] is Verdict.PASS
    assert rows["beta, friends"] is Verdict.INCONCLUSIVE


def test_the_state_survives_the_codec() -> None:
    """Groups that were stored say the same."""
    plan = parse_plan(GROUPS)
    state = fed(plan, 20, {"internal": (0.5, 100, 0.01), "eu": (0.0, 50, 0.0)})
    loaded = decode_state(encode_state(state), JudgeState)
    for one in (state, loaded):
        assert [group.requests for group in one.groups] == [2000, 0, 1000]
    asked = GroupsAsked((50_000, 0, 0), 1)
    assert assess(plan, loaded, running=("v2",), for_share_ppm=50_000, groups=asked) == assess(
        plan, state, running=("v2",), for_share_ppm=50_000, groups=asked
    )


SCENARIO = """
name: groups
duration: 30m
traffic: {rate: 50/s, segments: {internal: 10%, beta: 20%, eu: 70%}}
baseline: {error_rate: 1%}
"""


@pytest.mark.parametrize(
    ("canary", "state"),
    [("", State.PROMOTED), ("canary: [{at: 0s, segment: beta, error_rate: {to: 8%}}]", State.ROLLED_BACK)],
)
def test_in_a_closed_loop(canary: str, state: State) -> None:
    """Routers that follow the rules: a healthy canary reaches everyone, one that harms beta users goes no further."""
    text = GROUPS.replace("1%, hold: 2m", "10%, hold: 1m").replace("5%, hold: 5m", "50%, hold: 1m")
    plan = parse_plan(text.replace("0.5%", "1%"))
    world = World(parse_scenario(SCENARIO + canary), Path(), ["error_rate"])
    found = simulate(world, plan, seed=1)
    assert found.run.state is state
    if canary:
        assert all(d.weights_ppm == {"v1": PPM} for d in found.decisions)
