"""Each transition of the machine, with the sentence that a person reads."""

from __future__ import annotations

import pytest

from releases.machine import HELD_MS_AT_LEAST, step
from releases.machine_io import Commanded, Judged, Ticked
from schemas.command import Command, Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from tests.releases.story import (
    MINUTE_MS,
    PLAN,
    SECOND_MS,
    SILENT,
    START_MS,
    TWO_CANARIES,
    Story,
    next_share_ppm,
    plan_of,
)


def test_start_opens_the_first_stage_at_once() -> None:
    """A start gives the canary its first share, names the release by its time, and publishes the route."""
    story = Story()
    assert story.last.action is Action.START
    assert story.last.release_id == "chat-2025-11-20T10:00:00Z-1"
    assert story.last.weights_ppm == {"v1": 990_000, "v2": 10_000}
    assert story.last.actor == "ann"
    assert story.last.reason == "Started v2 at 1 % beside v1, held for 2m at least, asked for by ann: because."
    assert [route.fallback for route in story.routes] == ["v1"]
    assert next_share_ppm(story.state) == 50_000


def test_passes_through_every_stage_to_promotion() -> None:
    """With PASS all the way the release takes its holds and nothing more, and ends with everything on the canary."""
    story = Story()
    story.keep(Verdict.PASS, 12 * MINUTE_MS)
    assert [d.action for d in story.decisions] == [Action.START, Action.ADVANCE, Action.ADVANCE, Action.PROMOTE]
    assert [d.at_ms - START_MS for d in story.decisions] == [m * MINUTE_MS for m in (0, 2, 7, 12)]
    assert [d.reason for d in story.decisions[1:]] == [
        "Opened v2 at 5 % (v2 from 1 %; step 2 of 3): error_rate says PASS.",
        "Opened v2 at 25 % (v2 from 5 %; step 3 of 3): error_rate says PASS.",
        "Promoted v2 from 25 % to 100 %: error_rate says PASS.",
    ]
    assert story.release.state is State.PROMOTED
    assert story.routes[-1].weights_ppm == {"v1": 0, "v2": 1_000_000}
    assert story.routes[-1].fallback == "v2"
    assert next_share_ppm(story.state) is None


def test_pass_for_a_smaller_share_opens_nothing() -> None:
    """A PASS counts up to its share: one for 5 % neither opens 25 % nor promotes."""
    story = Story()
    story.keep(Verdict.PASS, 30 * MINUTE_MS, share_ppm=50_000)
    assert story.release.weights_ppm == {"v1": 950_000, "v2": 50_000}
    story.judge(Verdict.PASS, 250_000)
    story.keep(Verdict.PASS, 30 * MINUTE_MS, share_ppm=999_999)
    assert story.release.next_share_ppm == 1_000_000
    assert story.release.canary_share_ppm == 250_000


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR])
def test_anything_but_pass_opens_nothing(verdict: Verdict) -> None:
    """However long it lasts, what is not PASS leaves the canary at its share."""
    story = Story()
    story.keep(verdict, 14 * MINUTE_MS)
    assert story.release.canary_share_ppm == 10_000


def test_ticks_open_nothing() -> None:
    """A PASS from before does not open traffic when only time has passed: evidence has to come with the opening."""
    story = Story()
    story.wait(MINUTE_MS).judge()
    story.wait(MINUTE_MS)
    story.tick()
    assert story.release.opened == 1


def test_a_silent_canary_opens_nothing() -> None:
    """A PASS of old evidence does not open the next step for a canary that has not answered since the last."""
    story = Story(plan_of(PLAN.replace("hold: 2m", "hold: 30s")))
    story.keep(Verdict.PASS, MINUTE_MS, **SILENT)
    assert story.release.opened == 1
    story.judge()
    assert story.release.opened == 2


@pytest.mark.parametrize("state", [State.RAMPING, State.PAUSED, State.HOLDING])
def test_fail_rolls_back_at_once(state: State) -> None:
    """FAIL rolls back in every state that is not final, and nothing but a start raises traffic afterwards."""
    story = Story()
    if state is State.PAUSED:
        story.command(Verb.PAUSE)
    if state is State.HOLDING:
        story.judge(Verdict.ERROR)
    assert story.release.state is state
    story.wait(SECOND_MS).judge(Verdict.FAIL, 0, reason="error_rate 4.9 % (v2) vs 1.0 % (v1)")
    assert story.last.action is Action.ROLLBACK
    assert story.last.actor == "serinus"
    assert story.last.reason == "Rolled back v2 from 1 %: error_rate 4.9 % (v2) vs 1.0 % (v1)."
    assert story.routes[-1].weights_ppm == {"v1": 1_000_000, "v2": 0}
    story.keep(Verdict.PASS, 20 * MINUTE_MS)
    assert story.decisions[-1].action is Action.ROLLBACK


@pytest.mark.parametrize("verb", [Verb.PROMOTE, Verb.ABORT])
def test_evidence_changes_nothing_after_the_end(verb: Verb) -> None:
    """A release that has ended is not judged any more."""
    story = Story()
    story.command(verb)
    story.wait(SECOND_MS)
    assert story.judge(Verdict.FAIL) == ()


def test_a_gate_that_holds() -> None:
    """FAIL of a gate with `action: hold` keeps the share, for as long as it lasts, and goes on after a PASS."""
    story = Story()
    story.keep(Verdict.FAIL, 30 * SECOND_MS, fail_action="hold")
    assert [d.action for d in story.decisions] == [Action.START, Action.HOLD]
    assert story.last.reason == "Holding v2 at 1 %: error_rate says FAIL."
    assert story.last.verdict is Verdict.FAIL
    story.wait(SECOND_MS).judge(Verdict.INCONCLUSIVE)
    assert story.release.state is State.HOLDING
    story.wait(SECOND_MS).judge()
    assert story.last.action is Action.RESUME
    assert story.last.reason == "Ramping again with v2 at 1 %: error_rate says PASS."


def test_error_holds_at_once_and_does_not_flutter() -> None:
    """A verdict that jumps between ERROR and PASS makes at most one pair of decisions in ten seconds."""
    story = Story()
    for _ in range(40):
        story.wait(250).judge(Verdict.ERROR, reason="the split is broken")
        story.wait(250).judge()
    assert story.decisions[1].reason == "Holding v2 at 1 %: ERROR: the split is broken."
    assert len(story.decisions) <= 1 + 2 * (20 * SECOND_MS // HELD_MS_AT_LEAST)


def test_two_canaries() -> None:
    """All canaries have the same share, the judge is asked for their sum, and the plan's first is promoted."""
    story = Story(plan_of(TWO_CANARIES))
    assert story.release.weights_ppm == {"v1": 980_000, "v2": 10_000, "v3": 10_000}
    assert next_share_ppm(story.state) == 100_000
    story.keep(Verdict.PASS, 2 * MINUTE_MS)
    assert story.last.reason.startswith("Opened v2 and v3 at 5 % each (v2 and v3 from 1 % each; step 2 of 3): ")
    story.keep(Verdict.PASS, 10 * MINUTE_MS)
    assert story.release.weights_ppm == {"v2": 1_000_000}


@pytest.mark.parametrize("seq", [0, 3, 6, 7])
def test_an_applied_offset_changes_nothing(seq: int) -> None:
    """Inputs at or before the state's offset are no inputs, whatever they say."""
    story = Story()
    story.keep(Verdict.INCONCLUSIVE, 7 * SECOND_MS)
    command = Command("new", "chat", Verb.ABORT, "ann", "r", 0)
    late = Judged(seq=seq, verdict=Verdict.FAIL, for_share_ppm=0, reason="late")
    for input_ in (Commanded(seq=seq, command=command), late, Ticked(seq=seq)):
        assert step(story.state, input_, story.now_ms + 999_999) == (story.state, ())


def test_time_never_goes_back() -> None:
    """A clock that jumps back is held at the latest time that was seen."""
    story = Story()
    story.wait(MINUTE_MS).judge(Verdict.INCONCLUSIVE)
    story.wait(-30 * MINUTE_MS).judge(Verdict.FAIL)
    assert story.last.at_ms == START_MS + MINUTE_MS


def test_a_second_release_has_higher_epochs_and_another_salt() -> None:
    """Epochs grow over all releases of a service, so that routers never mistake an old route for a new one."""
    story = Story()
    salt = story.release.salt
    story.command(Verb.ABORT)
    story.command(Verb.START, plan=plan_of())
    assert [d.epoch for d in story.decisions] == [1, 2, 3]
    assert story.release.id.endswith("-2")
    assert story.release.salt != salt


def test_weights_do_not_jump_with_one_long_pause_in_the_log() -> None:
    """After hours without input one judgement opens at most one step."""
    story = Story()
    story.wait(3 * 60 * MINUTE_MS).judge()
    assert story.release.weights_ppm in ({"v1": 990_000, "v2": 10_000}, {"v1": 950_000, "v2": 50_000})
