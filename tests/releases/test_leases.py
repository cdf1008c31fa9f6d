"""Leases and fences: what is sent to the routers, and when nothing is."""

from __future__ import annotations

from releases.machine import step
from releases.machine_io import Decide, Fenced, Publish
from releases.routing import UNOBSERVED_AFTER_MS
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.route import LEASE_MS, RENEW_MS
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, SILENT, START_MS, Story, plan_of


def test_renews_while_observed() -> None:
    """The route is sent again every RENEW_MS, same epoch, later issue."""
    story = Story()
    story.keep(Verdict.INCONCLUSIVE, MINUTE_MS)
    assert [r.issued_at_ms - START_MS for r in story.routes] == [n * RENEW_MS for n in range(7)]
    assert {r.epoch for r in story.routes} == {1}


def test_a_canary_never_runs_unobserved() -> None:
    """When ingest is dead and only ticks come, the lease runs out: no route gives a canary traffic any more.

    The last route before the silence ends within LEASE_MS + LEASE_MS / 2 after the last evidence, also though the hold
    and the rollback that silence brings are still decided.
    """
    story = Story()
    story.keep(Verdict.INCONCLUSIVE, 35 * SECOND_MS)
    last_ms = story.now_ms
    for _ in range(20 * 60):
        story.wait(SECOND_MS)
        story.tick()
    risky = [r for r in story.routes if r.weights_ppm["v2"]]
    assert max(r.issued_at_ms for r in risky) <= last_ms + UNOBSERVED_AFTER_MS
    assert max(r.issued_at_ms + r.lease_ms for r in risky) <= last_ms + LEASE_MS * 3 // 2
    assert [d.action for d in story.decisions] == [Action.START, Action.HOLD, Action.ROLLBACK]
    hold = "Holding v2 at 1 %: no report of any version for 2m; rolled back if that lasts for 15m."
    lapsed = "Not sent to the routers, which fall back to v1: no report for 2m."
    assert story.decisions[1].reason == f"{hold} {lapsed}"
    assert story.routes[-1].weights_ppm == {"v1": 1_000_000, "v2": 0}


def test_an_observed_silence_keeps_its_lease() -> None:
    """A judge that says "no requests" is evidence: the lease goes on until the no_data rules act."""
    story = Story()
    story.keep(Verdict.NO_DATA, 5 * MINUTE_MS, **SILENT)
    assert story.routes[-1].issued_at_ms >= story.now_ms - RENEW_MS
    assert story.routes[-1].weights_ppm == {"v1": 990_000, "v2": 10_000}


def test_the_lease_comes_back_with_the_evidence() -> None:
    """After a gap in the evidence the route is sent again with the first judgement."""
    story = Story()
    for _ in range(60):
        story.wait(SECOND_MS)
        story.tick()
    before = len(story.routes)
    story.judge(Verdict.INCONCLUSIVE)
    assert len(story.routes) == before + 1


def test_final_routes_are_renewed_for_ever() -> None:
    """A router that starts a day later still learns where traffic belongs, evidence or not."""
    story = Story()
    story.command(Verb.PROMOTE)
    story.wait(24 * 60 * MINUTE_MS)
    assert story.tick() == (Publish(story.routes[-1]),)
    assert story.routes[-1].issued_at_ms == story.now_ms


def test_fenced_by_a_newer_epoch_of_the_same_release() -> None:
    """What was decided in between is unknown: the release goes back to the baseline above that epoch."""
    story = Story()
    story.put(Fenced(epoch=9, release_id=story.release.id))
    assert (story.last.epoch, story.last.state) == (10, State.ROLLED_BACK)
    assert story.last.reason.startswith("Rolled back v2 from 1 %: the control topic carries epoch 9 of chat-2025")
    assert story.routes[-1].weights_ppm == {"v1": 1_000_000, "v2": 0}


def test_fenced_by_another_release() -> None:
    """Of another release we know nothing: ours ends, and no route of ours is sent again."""
    story = Story()
    effects = story.put(Fenced(epoch=9, release_id="chat-other"))
    assert [type(e) for e in effects] == [Decide]
    assert story.wait(60 * MINUTE_MS).tick() == ()
    story.command(Verb.START, plan=plan_of())
    assert story.last.epoch > 10


def test_fenced_by_what_is_known() -> None:
    """An epoch that is not above ours changes nothing, and repeating a fence does not either."""
    story = Story()
    assert step(story.state, Fenced(epoch=1, release_id="x"), story.now_ms) == (story.state, ())
    fence = Fenced(epoch=9, release_id=story.release.id)
    story.put(fence)
    assert step(story.state, fence, story.now_ms) == (story.state, ())


def test_a_fence_without_a_release_lifts_the_epoch() -> None:
    """A state that was lost does not start below what routers have seen."""
    story = Story(begin=False)
    assert story.put(Fenced(epoch=9, release_id="chat-old")) == ()
    story.command(Verb.START, plan=plan_of(PLAN))
    assert story.last.epoch == 10
