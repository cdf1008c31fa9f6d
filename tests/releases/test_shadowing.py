"""Copies before the first step: judged like any other request, met by no user, and no part of the split."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec.structs import replace

from detectors.units_seen import UnitsSeen
from releases.explain import explain
from releases.release_state import decode_state, encode_state
from releases.shadowing import as_tried
from releases.split_check import follow, see, start_split
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.file_errors import FileError
from schemas.plan import Plan
from schemas.route import encode_route
from schemas.units import PPM
from serinus.route import decode_route, shadows_of
from tests.releases.story import MINUTE_MS, PLAN, START_MS, TWO_CANARIES, Story, plan_of


def shadowed(plan: str = PLAN) -> Plan:
    return plan_of(plan.replace("kind:", "shadow: {weight: 20%, hold: 10m}, kind:", 1))


def test_nobody_meets_the_canary_until_its_copies_pass() -> None:
    """The baseline has everything for the shadow's hold; then the first PASS opens the ramp's first share."""
    story = Story(shadowed())
    assert story.last.reason == (
        "Started v2 with copies of 20 % of the requests beside v1, held for 10m at least, asked for by ann: because."
    )
    assert (story.last.shadow_ppm, story.last.weights_ppm) == ({"v2": 200_000}, {"v1": PPM})
    assert (story.routes[-1].shadow_ppm, story.routes[-1].weights_ppm) == ({"v2": 200_000}, {"v1": PPM, "v2": 0})
    story.keep(Verdict.PASS, 10 * MINUTE_MS - 1_000)
    assert [decision.action for decision in story.decisions] == [Action.START]
    story.keep(Verdict.PASS, 2_000)
    assert story.last.reason == "Opened v2 at 1 % (v2 from 0 %; step 1 of 3): error_rate says PASS."
    assert (story.routes[-1].shadow_ppm, story.last.shadow_ppm) == ({}, {})
    assert story.release.weights_ppm == {"v1": 990_000, "v2": 10_000}
    assert story.keep(Verdict.PASS, 30 * MINUTE_MS).release.state is State.PROMOTED


def test_harm_in_copies_ends_it_before_anybody_meets_it() -> None:
    """FAIL rolls back, and no route ever gave the canary a share."""
    story = Story(shadowed()).keep(Verdict.INCONCLUSIVE, MINUTE_MS)
    story.judge(Verdict.FAIL)
    assert story.last.reason.startswith("Rolled back v2 with copies of 20 % of the requests: ")
    assert {route.weights_ppm["v2"] for route in story.routes} == {0}
    assert (story.release.state, story.routes[-1].shadow_ppm) == (State.ROLLED_BACK, {})


def test_without_copies_it_holds_and_then_ends() -> None:
    """A service that sends none is told so after no_data.after."""
    story = Story(shadowed()).keep(Verdict.NO_DATA, 3 * MINUTE_MS, canary_requests={"v2": 0})
    assert (story.last.action, story.last.verdict) == (Action.HOLD, Verdict.NO_DATA)
    assert story.last.reason.startswith("Holding v2 with copies of 20 % of the requests: ")
    story.keep(Verdict.NO_DATA, 14 * MINUTE_MS, canary_requests={"v2": 0})
    assert story.release.state is State.ROLLED_BACK


def test_a_pass_without_a_copy_since_the_start_opens_nothing() -> None:
    """Evidence must come from versions that have answered."""
    story = Story(shadowed()).keep(Verdict.PASS, 11 * MINUTE_MS, canary_requests={"v2": 0})
    assert story.release.canary_share_ppm == 0


def test_a_scheduled_release_begins_with_copies() -> None:
    """At its time, and the shadow's hold counts from there."""
    at = datetime.fromtimestamp((START_MS + 60 * MINUTE_MS) / 1000, UTC).isoformat()
    story = Story(shadowed(PLAN.replace("kind:", f"start: '{at}', kind:", 1)))
    assert (story.release.state, story.routes[-1].shadow_ppm) == (State.SCHEDULED, {})
    story.wait(60 * MINUTE_MS).tick()
    assert (story.release.state, story.release.shadow_ppm) == (State.RAMPING, {"v2": 200_000})
    story.keep(Verdict.PASS, 9 * MINUTE_MS)
    assert story.release.canary_share_ppm == 0
    story.keep(Verdict.PASS, 2 * MINUTE_MS)
    assert story.release.canary_share_ppm == 10_000


def test_an_operator_may_end_the_copies() -> None:
    """By a share of his own, by a pause that leaves them as they are, and by the end of the release."""
    story = Story(shadowed())
    story.command(Verb.PAUSE)
    assert story.last.reason.startswith("Paused with v2 with copies of 20 %")
    story.command(Verb.RESUME)
    assert story.release.shadow_ppm
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=50_000)
    assert (story.release.shadow_ppm, story.release.canary_share_ppm) == ({}, 50_000)
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=0)
    assert story.release.shadow_ppm == {}, "what was set to nothing gets no copies either"


def test_several_canaries_get_copies_of_different_requests() -> None:
    """Their shares of copies are disjoint, as their shares of users are; the router lays them out."""
    story = Story(shadowed(TWO_CANARIES))
    split = shadows_of(decode_route(encode_route(story.routes[-1])))
    assert split is not None
    assert (split.bounds, split.versions) == ((200_000, 800_000), ("v2", "v1", "v3"))


@pytest.mark.parametrize("epoch", [1, -1])
def test_copies_are_no_broken_split(epoch: int) -> None:
    """Units that only got copies are left out, whether routers tell epochs or not; without copies they would count."""
    story = Story(shadowed())
    n = 400
    units = UnitsSeen(
        hash=np.arange(n, dtype=np.uint64),
        version=("v1", "v2") * (n // 2),
        segment=("",) * n,
        epoch=np.full(n, epoch, dtype=np.int64),
        bucket=np.full(n, 900_000 if epoch >= 0 else -1, dtype=np.int64),
    )
    for route, counted in ((story.routes[-1], False), (replace(story.routes[-1], shadow_ppm={}), True)):
        split = start_split(story.plan)
        for since_ms in range(0, 70_000, 10_000):
            split = follow(split, replace(route, issued_at_ms=START_MS + since_ms))
        seen = see(story.plan, split, units, now_ms=START_MS + 60_000)
        assert seen.counted.size == (n if counted else n // 2)
        assert seen.misplaced == (n // 2 if counted and epoch >= 0 else 0)


def test_it_is_stored_explained_and_tried_without() -> None:
    """A worker that takes over knows; `plan check` says it; made-up traffic has nobody to copy it."""
    story = Story(shadowed())
    assert decode_state(encode_state(story.state)) == story.state
    said = "First copies of 20 % of the requests go to v2, whose answers nobody sees, for 10m at least."
    assert said in explain(story.plan)
    assert Story(as_tried(story.plan)).release.canary_share_ppm == 10_000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda plan: plan.replace("kind:", "segments: [[a], ['*']], kind:", 1), "found with segments"),
        (lambda plan: plan.replace("20%", "0%"), "found 0%; allowed is more than 0%"),
        (
            lambda plan: plan + "  - {name: feedback.rating, worse: lower, margin: 5%}\n",
            "nobody gives feedback on copies",
        ),
    ],
)
def test_what_is_wrong_is_said(wrong: object, said: str) -> None:
    """Where copies make no sense."""
    text = PLAN.replace("{kind:", "{shadow: {weight: 20%, hold: 10m}, kind:", 1).replace(
        "metrics: [{name: error_rate, margin: 0.5%}]", "metrics:\n  - {name: error_rate, margin: 0.5%}"
    )
    assert callable(wrong)
    with pytest.raises(FileError, match=r"ramp\.shadow") as raised:
        plan_of(wrong(text))
    assert said in str(raised.value)
