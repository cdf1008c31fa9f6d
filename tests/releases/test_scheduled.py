"""A start at a date: until then the baseline serves, then the first step opens by the command that asked for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from releases.explain import explain
from releases.release_state import decode_state, encode_state
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.units import PPM
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, START_MS, Story, plan_of

HOUR_MS = 60 * MINUTE_MS
AT = datetime.fromtimestamp((START_MS + 3 * HOUR_MS) / 1000, UTC).isoformat()


def waiting(**more: object) -> Story:
    """A release that starts in three hours, and a baseline that serves meanwhile."""
    story = Story(plan_of(PLAN.replace("{kind:", f"{{start: '{AT}', kind:", 1)))
    return story.keep(Verdict.NO_DATA, HOUR_MS, every_ms=MINUTE_MS, canary_requests={"v2": 0}, **more)


def test_until_its_time_the_baseline_serves() -> None:
    """Whatever the limits say of silence, of waiting and of a release's length: its time has not begun."""
    story = waiting()
    assert story.last.reason == (
        "Scheduled v2 at 1 % beside v1 for Thu 2025-11-20 13:00 UTC, asked for by ann: because."
    )
    assert [(one.action, one.state) for one in story.decisions] == [(Action.START, State.SCHEDULED)]
    assert {tuple(route.weights_ppm.items()) for route in story.routes} == {(("v1", PPM), ("v2", 0))}
    assert len(story.routes) > 60, "the routers hear of it at every beat of this hour"


@pytest.mark.parametrize("by", ["tick", "evidence"])
def test_at_its_time_the_first_step_opens(by: str) -> None:
    """Once, by the command that had asked for it, and the ramp goes on from there."""
    story = waiting().wait(2 * HOUR_MS - SECOND_MS)
    story.tick()
    assert len(story.decisions) == 1
    story.wait(SECOND_MS)
    story.judge(Verdict.NO_DATA, canary_requests={"v2": 0})
    if by == "tick":
        story.tick()
    assert story.last.reason == "Started v2 at 1 % beside v1, held for 2m at least, as ann had scheduled it."
    assert (story.last.actor, story.last.command_id, story.last.epoch) == ("ann", "c1", 2)
    assert story.release.weights_ppm == {"v1": 990_000, "v2": 10_000}
    story.keep(Verdict.PASS, 5 * MINUTE_MS)
    assert story.release.opened > 1
    assert [one.action for one in story.decisions[:3]] == [Action.START, Action.START, Action.ADVANCE]


def test_without_a_report_nothing_is_sent_at_its_time() -> None:
    """Ingest is dead when the time comes: the decision stands, and no route gives anybody to the canary."""
    story = waiting().wait(2 * HOUR_MS)
    sent = len(story.routes)
    story.tick()
    assert story.last.action is Action.START
    assert "Not sent to the routers, which fall back to v1" in story.last.reason
    assert len(story.routes) == sent


def test_an_operator_may_start_it_now_or_end_it() -> None:
    """Resume is now, abort is never; there is nothing to pause, to weigh or to promote."""
    story = waiting()
    story.command(Verb.RESUME, actor="bob", reason="no need to wait")
    assert story.last.reason.endswith("as ann had scheduled it, asked for by bob: no need to wait.")
    assert story.release.weights_ppm == {"v1": 990_000, "v2": 10_000}
    story = waiting()
    for verb, more in ((Verb.PAUSE, {}), (Verb.PROMOTE, {}), (Verb.SET_WEIGHT, {"version": "v2", "weight_ppm": 1})):
        story.command(verb, **more)
    assert {refusal.partition(" is scheduled")[2] for refusal in story.refusals} == {
        " and nobody has its canaries; resume starts it now, abort ends it"
    }
    story.command(Verb.ABORT)
    story.wait(5 * HOUR_MS).tick()
    assert story.last.state is State.ABORTED


def test_its_length_counts_from_the_start() -> None:
    """`max_duration` is of the release and not of the waiting."""
    story = waiting().wait(2 * HOUR_MS)
    story.judge(Verdict.INCONCLUSIVE)
    assert story.release.started_ms == story.now_ms


def test_a_start_that_is_over_is_now() -> None:
    """A plan that is started again after its date waits for nothing."""
    plan = plan_of(PLAN.replace("{kind:", "{start: 2025-11-20T09:00:00Z, kind:", 1))
    assert Story(plan).release.state is State.RAMPING


def test_it_is_stored_and_explained() -> None:
    """A worker that takes over knows the time; `plan check` says it."""
    story = waiting()
    assert decode_state(encode_state(story.state)) == story.state
    assert "Starts by itself on Thu 2025-11-20 13:00 UTC; until then v1 serves." in explain(story.plan)
