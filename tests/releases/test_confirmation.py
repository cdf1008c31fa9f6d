"""A step that the plan wants confirmed: evidence and a yes, never one of them alone."""

from __future__ import annotations

import pytest

from releases.explain import explain
from releases.release_state import decode_state, encode_state
from releases.shadowing import as_tried
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.file_errors import FileError
from schemas.units import PPM
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, Story, plan_of


def asking(confirm: str = "5%, 100%", plan: str = PLAN) -> Story:
    return Story(plan_of(plan.replace("kind:", f"confirm: [{confirm}], kind:", 1)))


def test_a_group_that_joins_at_a_share_to_confirm_joins_after_one_yes() -> None:
    """Its first step alone reaches the share: the yes is for that group, and is not asked for again."""
    text = PLAN.replace("{kind: stages,", "{kind: stages, confirm: [1%], segments: [[internal], ['*']],")
    story = Story(plan_of(text)).keep(Verdict.PASS, 13 * MINUTE_MS)
    assert (story.release.group, story.release.awaits_ppm) == (0, 10_000)
    story.command(Verb.CONFIRM)
    assert "for everyone else" in story.last.reason
    story.keep(Verdict.PASS, MINUTE_MS)
    assert (story.last.action, story.release.group) == (Action.ADVANCE, 1)
    story.keep(Verdict.PASS, 3 * MINUTE_MS)
    assert story.release.opened == 2


def test_the_step_waits_for_a_yes_and_then_for_a_pass() -> None:
    """PASS for an hour opens nothing; the yes opens nothing; the next PASS does."""
    story = asking().keep(Verdict.PASS, 60 * MINUTE_MS, every_ms=MINUTE_MS)
    assert [decision.action for decision in story.decisions] == [Action.START, Action.HOLD]
    assert story.last.reason == (
        "Holding v2 at 1 %: waits for a yes to 5 % (serinus release confirm chat); error_rate says PASS."
    )
    assert (story.last.awaits_ppm, story.release.canary_share_ppm) == (50_000, 10_000)
    story.command(Verb.CONFIRM, actor="eve", reason="read a hundred answers")
    assert story.last.reason == "Confirmed 5 % of v2, asked for by eve: read a hundred answers."
    assert (story.last.action, story.last.state, story.last.awaits_ppm) == (Action.CONFIRM, State.RAMPING, None)
    assert story.release.canary_share_ppm == 10_000
    story.tick()
    assert story.release.canary_share_ppm == 10_000
    story.judge()
    assert (story.last.action, story.release.canary_share_ppm) == (Action.ADVANCE, 50_000)


def test_only_what_the_plan_names_is_asked_about() -> None:
    """25 % needs no yes; promotion does."""
    story = asking().keep(Verdict.PASS, 3 * MINUTE_MS)
    story.command(Verb.CONFIRM)
    story.keep(Verdict.PASS, 20 * MINUTE_MS)
    assert (story.release.canary_share_ppm, story.last.awaits_ppm) == (250_000, PPM)
    assert "waits for a yes to 100 %" in story.last.reason
    story.command(Verb.CONFIRM)
    assert story.last.reason.startswith("Confirmed the promotion of v2")
    story.judge()
    assert story.release.state is State.PROMOTED


def test_a_yes_may_come_early_and_is_for_one_step() -> None:
    """It is kept until the evidence is there; a second one finds nothing to confirm."""
    story = asking()
    story.command(Verb.CONFIRM)
    assert (story.last.state, story.release.canary_share_ppm) == (State.RAMPING, 10_000)
    story.command(Verb.CONFIRM)
    assert "nothing waits for a yes" in story.refusals[-1]
    story.keep(Verdict.PASS, 3 * MINUTE_MS)
    assert story.release.canary_share_ppm == 50_000
    assert Action.HOLD not in {decision.action for decision in story.decisions}


@pytest.mark.parametrize("confirmed", [False, True])
def test_harm_rolls_back_whatever_was_said(confirmed: bool) -> None:
    """While it waits, and after the yes."""
    story = asking().keep(Verdict.PASS, 5 * MINUTE_MS)
    if confirmed:
        story.command(Verb.CONFIRM)
    story.judge(Verdict.FAIL)
    assert story.release.state is State.ROLLED_BACK
    assert story.release.awaits_ppm is None


def test_a_yes_does_not_end_another_hold() -> None:
    """A release that holds because nobody sees the canary goes on holding; the yes is kept."""
    story = asking().keep(Verdict.NO_DATA, 3 * MINUTE_MS, canary_requests={"v2": 0})
    assert (story.release.state, story.release.awaits_ppm) == (State.HOLDING, None)
    story.command(Verb.CONFIRM)
    assert story.release.state is State.HOLDING
    story.keep(Verdict.PASS, MINUTE_MS)
    assert story.release.canary_share_ppm == 50_000


def test_silence_while_it_waits_is_silence() -> None:
    """Limits go on: nothing known for a quarter of an hour rolls back."""
    story = asking().keep(Verdict.PASS, 5 * MINUTE_MS)
    story.keep(Verdict.NO_DATA, 16 * MINUTE_MS, canary_requests={"v2": 0})
    assert story.release.state is State.ROLLED_BACK


def test_after_the_yes_silence_holds_and_nothing_opens() -> None:
    """The evidence of before the yes is not enough."""
    story = asking().keep(Verdict.PASS, 5 * MINUTE_MS)
    story.command(Verb.CONFIRM)
    for _ in range(5):
        story.wait(SECOND_MS).tick()
    story.judge(Verdict.INCONCLUSIVE)
    assert story.release.canary_share_ppm == 10_000


def test_an_operator_passes_by() -> None:
    """A share that somebody has set asks nobody; the ramp goes on from there, and asks before promotion."""
    story = asking()
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=60_000)
    story.keep(Verdict.PASS, 20 * MINUTE_MS)
    assert (story.release.canary_share_ppm, story.last.awaits_ppm) == (250_000, PPM)


def test_a_pause_is_no_wait() -> None:
    """A paused release waits for its operator; resumed, it asks again."""
    story = asking().keep(Verdict.PASS, 5 * MINUTE_MS)
    story.command(Verb.PAUSE)
    paused = story.last
    story.command(Verb.RESUME)
    story.keep(Verdict.PASS, MINUTE_MS)
    assert (paused.awaits_ppm, story.last.action, story.last.awaits_ppm) == (None, Action.HOLD, 50_000)


def test_an_adaptive_ramp_leaps_up_to_what_needs_a_yes() -> None:
    """It takes the rungs below the share, waits, and leaps on after the yes."""
    ramp = "{confirm: [4%], kind: adaptive, from: 1%, to: 50%, harm_budget: 100, hold: 1m}"
    story = Story(plan_of(PLAN.replace(PLAN[PLAN.index("{kind:") : PLAN.index("\nmetrics")], ramp)))
    story.keep(Verdict.PASS, 10 * MINUTE_MS)
    assert (story.release.canary_share_ppm, story.last.awaits_ppm) == (33_750, 40_000)
    story.command(Verb.CONFIRM)
    story.keep(Verdict.PASS, 2 * MINUTE_MS)
    assert story.release.canary_share_ppm > 50_000


def test_each_group_asks_anew() -> None:
    """A yes for internal users says nothing of everyone else."""
    story = asking("5%", PLAN.replace("{kind:", "{segments: [[internal], ['*']], kind:", 1))
    story.keep(Verdict.PASS, 5 * MINUTE_MS)
    story.command(Verb.CONFIRM)
    story.keep(Verdict.PASS, 30 * MINUTE_MS)
    assert (story.release.group, story.last.awaits_ppm) == (1, 50_000)


def test_it_is_stored_explained_and_simulated_without() -> None:
    """A worker that takes over goes on waiting; `plan check` says it; made-up traffic has nobody to ask."""
    story = asking().keep(Verdict.PASS, 5 * MINUTE_MS)
    assert decode_state(encode_state(story.state)) == story.state
    assert "Asks for a yes (serinus release confirm) before 5 % and promotion." in explain(story.plan)
    assert Story(as_tried(story.plan)).keep(Verdict.PASS, 30 * MINUTE_MS).release.state is State.PROMOTED


@pytest.mark.parametrize(
    ("confirm", "said"),
    [("0%", "found 0%; allowed is more than 0%"), ("5%, 5%", "found 5%; allowed is more than the one before (5%)")],
)
def test_what_is_wrong_is_said(confirm: str, said: str) -> None:
    """Shares ascend and are above nothing."""
    with pytest.raises(FileError, match=r"ramp\.confirm") as raised:
        asking(confirm)
    assert said in str(raised.value)
