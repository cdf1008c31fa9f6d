"""One canary of several that fails is stopped for good, and the others go on; the last one takes the release along."""

from __future__ import annotations

from math import log

import msgspec
import pytest

from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.asking import ask
from releases.assessment import assess
from releases.judge import JudgeState, observe, start_judge
from releases.sentence import once_in
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.rule import Rule
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, TWO_CANARIES, Story, plan_of
from tests.releases.test_groups import GROUPS

THREE = plan_of(PLAN.replace("[v2]", "[v2, v3, v4]"))
SHADOW = plan_of(TWO_CANARIES.replace("kind: stages,", "kind: stages, shadow: {weight: 20%, hold: 1m},"))


def failing(story: Story, *versions: str) -> Story:
    story.wait(SECOND_MS).judge(Verdict.FAIL, failed=versions, reason=f"error_rate 5 % ({versions[0]}) vs 1 % (v1)")
    return story


def test_the_others_go_on() -> None:
    """With the shares that they have, in a step of its own, up to the promotion."""
    story = Story(plan_of(TWO_CANARIES)).keep(Verdict.PASS, 3 * MINUTE_MS)
    failing(story, "v2")
    assert (story.last.action, story.last.state, story.last.verdict) == (Action.STOP, State.RAMPING, Verdict.FAIL)
    assert (story.last.weights_ppm, story.last.stopped) == ({"v1": 950_000, "v3": 50_000}, ("v2",))
    assert story.last.reason == "Stopped v2 from 5 %, v3 goes on: error_rate 5 % (v2) vs 1 % (v1)."
    assert story.routes[-1].weights_ppm == {"v1": 950_000, "v2": 0, "v3": 50_000}
    assert story.release.running == ("v3",)
    decisions = len(story.decisions)
    story.wait(SECOND_MS).tick()
    assert len(story.decisions) == decisions, "what failed is gone; a tick finds nothing to hold for"
    story.keep(Verdict.PASS, 6 * MINUTE_MS, canary_requests={"v3": 3})
    assert story.last.weights_ppm == {"v1": 750_000, "v3": 250_000}
    story.keep(Verdict.PASS, 6 * MINUTE_MS, canary_requests={"v3": 3})
    assert (story.release.state, story.release.promoted, story.last.stopped) == (State.PROMOTED, "v3", ("v2",))


def test_the_last_one_takes_the_release_along() -> None:
    """One after the other, or all that are left at once."""
    one_by_one = Story(THREE)
    for version in ("v3", "v2", "v4"):
        failing(one_by_one, version)
    assert [one.action.value for one in one_by_one.decisions] == ["start", "stop", "stop", "rollback"]
    assert [one.stopped for one in one_by_one.decisions] == [(), ("v3",), ("v2", "v3"), ("v2", "v3")]
    at_once = failing(failing(Story(THREE), "v3"), "v2", "v4")
    assert at_once.last.action is Action.ROLLBACK
    assert at_once.last.weights_ppm == {"v1": 1_000_000}
    two_of_three = failing(Story(THREE), "v2", "v4")
    assert two_of_three.last.reason.startswith("Stopped v2 and v4 from 1 % each, v3 goes on: ")


@pytest.mark.parametrize("state", [State.HOLDING, State.PAUSED])
def test_who_waits_goes_on_waiting(state: State) -> None:
    """A stop is no reason to ramp again: what an operator paused stays paused, what is held is held."""
    story = Story(plan_of(TWO_CANARIES))
    if state is State.PAUSED:
        story.command(Verb.PAUSE)
    else:
        story.wait(SECOND_MS).judge(Verdict.ERROR)
    failing(story, "v2")
    assert (story.last.action, story.release.state) == (Action.STOP, state)
    assert story.release.weights_ppm == {"v1": 990_000, "v3": 10_000}


def test_it_stays_stopped() -> None:
    """Whoever asks, and with everything else at 0 %."""
    story = failing(Story(plan_of(TWO_CANARIES)), "v2")
    told = "v2 was found worse and stopped, for good in this release; start a new one"
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=50_000)
    story.command(Verb.PROMOTE, version="v2", skip_evidence=True)
    assert story.refusals == [told, told]
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=0)
    assert story.release.running == ("v3",)
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=50_000)
    story.keep(Verdict.PASS, 6 * MINUTE_MS, canary_requests={"v3": 3})
    assert story.release.canary_weights_ppm == {"v2": 0, "v3": 250_000}


def test_no_group_meets_it_any_more() -> None:
    """Also those who had it from the ramp's steps before."""
    story = Story(plan_of(GROUPS.replace("[v2]", "[v2, v3]"))).keep(Verdict.PASS, 8 * MINUTE_MS)
    assert story.last.rules[0] == Rule(("internal",), {"v2": 50_000, "v3": 50_000})
    failing(story, "v3")
    assert [rule.weights_ppm.get("v3", 0) for rule in story.last.rules] == [0] * len(story.last.rules)
    assert story.last.rules[0] == Rule(("internal",), {"v2": 50_000})


def test_copies_end_as_well() -> None:
    """A canary that fails while it gets copies gets none any more, and no share when the others begin."""
    story = failing(Story(SHADOW), "v2")
    assert story.last.reason.startswith("Stopped v2, v3 goes on: ")
    assert story.routes[-1].shadow_ppm == {"v3": 200_000}
    story.keep(Verdict.PASS, 2 * MINUTE_MS, canary_requests={"v3": 3})
    assert story.release.weights_ppm == {"v1": 990_000, "v3": 10_000}


def seen(errors: dict[str, int], blocks: int) -> JudgeState:
    state = start_judge(THREE)
    for beat in range(1, blocks + 1):
        arms = {(version, ""): Summary(Rate(100, count)) for version, count in errors.items()}
        state = observe(THREE, state, arms, beat_end_ms=1_000 * beat)
    return state


def test_the_judge_names_those_that_failed() -> None:
    """Each with its own numbers, from the one alpha: three canaries ask for three times the evidence."""
    judge = seen({"v1": 1, "v2": 30, "v3": 1, "v4": 20}, 40)
    release = Story(THREE).release
    _, ruling = ask(release, judge, now_ms=0)
    assert (ruling.verdict, ruling.fail_action, ruling.failed) == (Verdict.FAIL, "rollback", ("v2", "v4"))
    words = assess(THREE, judge, running=("v2", "v3", "v4"), for_share_ppm=150_000)
    v2, v4 = words.reason.split("; error_rate ", 1)
    assert v2.startswith("error_rate 30 % (v2) vs 1 % (v1)")
    assert v4.startswith("20 % (v4) vs 1 % (v1)")
    row = next(row for row in words.evidence if row.version == "v4" and row.verdict is Verdict.FAIL)
    assert row.log_evidence is not None
    assert row.sentence.endswith(once_in(row.log_evidence - log(3))), "any of the three may show it by chance"
    left = msgspec.structs.replace(release, weights_ppm={"v1": 990_000, "v3": 10_000}, stopped=("v2", "v4"))
    assert ask(left, judge, now_ms=0)[1].failed == ()


def test_the_ramp_goes_on_from_where_the_others_are() -> None:
    """The one that failed was ahead by an operator's order: no step is left out because of it."""
    story = Story(plan_of(TWO_CANARIES))
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=400_000)
    assert story.release.opened == 3
    failing(story, "v2")
    assert (story.release.opened, story.release.next_share_ppm) == (1, 50_000)
    story.keep(Verdict.PASS, 3 * MINUTE_MS, canary_requests={"v3": 3})
    assert story.release.canary_weights_ppm == {"v2": 0, "v3": 50_000}


def test_what_was_stopped_before_the_start_does_not_begin() -> None:
    """A scheduled release is judged too, by what testers force: its first step is that of the others."""
    plan = plan_of(TWO_CANARIES.replace("kind: stages,", "kind: stages, start: 2025-11-20T11:00:00Z,"))
    story = failing(Story(plan), "v2")
    assert (story.last.action, story.release.state) == (Action.STOP, State.SCHEDULED)
    assert story.last.reason.startswith("Stopped v2, v3 goes on: ")
    story.wait(2 * 60 * MINUTE_MS).tick()
    assert story.release.weights_ppm == {"v1": 990_000, "v3": 10_000}
