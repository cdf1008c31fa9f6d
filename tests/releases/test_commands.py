"""Commands: what operators can ask in which state, and the sentence of each refusal."""

from __future__ import annotations

import pytest

from releases.release_state import COMMAND_IDS_KEPT
from schemas.command import Verb
from schemas.decision import State
from schemas.evidence import Verdict
from tests.releases.story import MINUTE_MS, SECOND_MS, TWO_CANARIES, Story, next_share_ppm, plan_of


def test_pause_and_resume() -> None:
    """A pause keeps the weights while judgement goes on; after the resume the ramp goes on."""
    story = Story()
    story.command(Verb.PAUSE, reason="looking at logs")
    assert story.last.reason == "Paused with v2 at 1 %, asked for by ann: looking at logs."
    story.keep(Verdict.PASS, 5 * MINUTE_MS)
    assert story.release.opened == 1
    story.command(Verb.RESUME)
    assert story.last.reason == "Ramping again with v2 at 1 %, asked for by ann: because."
    story.wait(SECOND_MS).judge()
    assert story.release.opened == 2


@pytest.mark.parametrize(
    ("verb", "state", "weights", "reason"),
    [
        (Verb.PROMOTE, State.PROMOTED, {"v2": 1_000_000}, "Promoted v2 from 1 % to 100 %, asked for by ann: because."),
        (Verb.ROLLBACK, State.ROLLED_BACK, {"v1": 1_000_000}, "Rolled back v2 from 1 %, asked for by ann: because."),
        (Verb.ABORT, State.ABORTED, {"v1": 1_000_000}, "Aborted v2 from 1 %, asked for by ann: because."),
    ],
)
def test_endings_by_hand(verb: Verb, state: State, weights: dict[str, int], reason: str) -> None:
    """Operators can end a release in three ways; each is recorded with actor, reason and command."""
    story = Story()
    story.command(verb)
    assert (story.release.state, story.release.weights_ppm, story.last.reason) == (state, weights, reason)
    assert story.last.command_id == "c2"


def test_rollback_after_promotion() -> None:
    """What was promoted can be taken back by an operator without writing a plan first, and then it stays back."""
    story = Story()
    story.command(Verb.PROMOTE)
    story.command(Verb.ROLLBACK)
    assert story.release.weights_ppm == {"v1": 1_000_000}
    assert story.routes[-1].fallback == "v1"
    story.command(Verb.PROMOTE)
    assert story.refusals == ["release chat-2025-11-20T10:00:00Z-1 is rolled_back, which is final; start a new one"]


@pytest.mark.parametrize(
    ("weight_ppm", "opened", "next_ppm"), [(100_000, 2, 250_000), (500_000, 3, 1_000_000), (5_000, 0, 10_000)]
)
def test_set_weight_joins_the_ramp_there(weight_ppm: int, opened: int, next_ppm: int) -> None:
    """After a weight set by hand the ramp goes on from the first stage above it."""
    story = Story()
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=weight_ppm)
    assert story.last.reason.endswith(", before at 1 %, asked for by ann: because.")
    assert story.release.weights_ppm == {"v1": 1_000_000 - weight_ppm, "v2": weight_ppm}
    assert (story.release.opened, next_share_ppm(story.state)) == (opened, next_ppm)
    assert story.release.state is State.RAMPING


def test_zero_stays_zero() -> None:
    """A canary that an operator set to 0 % is not opened again by late evidence."""
    story = Story()
    story.command(Verb.SET_WEIGHT, version="v2", weight_ppm=0)
    story.keep(Verdict.PASS, 30 * MINUTE_MS)
    assert story.release.weights_ppm == {"v1": 1_000_000}


def test_a_start_may_replace_what_is_under_way() -> None:
    """`replace` ends the old release, recorded as aborted, and begins the new one: one command, two decisions."""
    story = Story()
    old = story.release
    story.command(Verb.START, plan=plan_of(), replace=True, reason="a fix")
    start, abort = story.decisions[-1], story.decisions[-2]
    assert (abort.release_id, abort.state, abort.epoch, abort.command_id) == (old.id, State.ABORTED, 2, None)
    assert abort.reason == "Aborted v2 from 1 %, replaced by a new release, asked for by ann: a fix."
    assert (start.epoch, start.command_id, start.previous_weights_ppm) == (3, "c2", {"v1": 1_000_000})
    assert story.release.id != old.id
    assert [route.epoch for route in story.routes] == [1, 2, 3]
    assert story.refusals == []


def test_a_replacing_start_that_is_refused_ends_nothing() -> None:
    """Without a plan there is nothing to replace it with."""
    story = Story()
    story.command(Verb.START, replace=True)
    assert story.release.active
    assert len(story.decisions) == 1


def test_the_expected_epoch_is_the_newest_one() -> None:
    """Two operators who look at the same decision: the second one's command meets another epoch."""
    story = Story()
    story.command(Verb.PAUSE, expected_epoch=1)
    story.command(Verb.RESUME, expected_epoch=1)
    story.command(Verb.RESUME, expected_epoch=2)
    assert [(one.epoch, one.state) for one in story.decisions[1:]] == [(2, State.PAUSED), (3, State.RAMPING)]
    assert len(story.refusals) == 1


def test_a_promotion_asks_the_evidence() -> None:
    """A PASS for everybody is enough, one for the next step is not."""
    story = Story()
    story.wait(SECOND_MS).judge(Verdict.PASS, 50_000)
    story.command(Verb.PROMOTE, skip_evidence=False)
    assert story.refusals[-1].startswith(
        "the evidence does not say that v2 is good enough for everybody, it says PASS for 5 %: error_rate says PASS"
    )
    story.wait(SECOND_MS).judge()
    story.command(Verb.PROMOTE, skip_evidence=False)
    assert story.release.state is State.PROMOTED


def test_one_of_two_is_promoted_by_name() -> None:
    """An operator's promotion may name the version."""
    story = Story(plan_of(TWO_CANARIES))
    story.command(Verb.PROMOTE, version="v3")
    assert story.release.weights_ppm == {"v3": 1_000_000}


@pytest.mark.parametrize(
    ("before", "verb", "more", "reason"),
    [
        (
            [],
            Verb.START,
            {"plan": plan_of()},
            "release {id} is ramping; end it first: promote, rollback or abort, or replace it",
        ),
        ([], Verb.START, {}, "plan: a start command carries a plan, and no other command does"),
        ([], Verb.RESUME, {}, "release {id} is ramping already"),
        ([Verb.PAUSE], Verb.PAUSE, {}, "release {id} is paused already"),
        ([Verb.ABORT], Verb.PAUSE, {}, "release {id} is aborted, which is final; start a new one"),
        ([Verb.ROLLBACK], Verb.ROLLBACK, {}, "release {id} is rolled_back, which is final; start a new one"),
        ([], Verb.PROMOTE, {"version": "v9"}, "version: found 'v9'; allowed are the canaries v2"),
        ([], Verb.SET_WEIGHT, {}, "version: a set_weight command needs version and weight_ppm"),
        ([], Verb.SET_WEIGHT, {"version": "v2", "weight_ppm": -1}, "weight_ppm: found -1; allowed are 0 to 1000000"),
        ([], Verb.SET_WEIGHT, {"version": "v1", "weight_ppm": 5}, "version: found 'v1'; allowed are the canaries v2"),
        ([], Verb.SET_WEIGHT, {"version": "v2", "weight_ppm": 10_000}, "v2 is at 1 % already"),
        (
            [],
            Verb.SET_WEIGHT,
            {"version": "v2", "weight_ppm": 1_000_000},
            "weight_ppm: found 100 %; allowed is less than 100 %, or v1 would have no traffic to compare with; "
            "promote gives v2 everything",
        ),
        (
            [],
            Verb.PAUSE,
            {"expected_epoch": 0},
            "expected_epoch: found 0, and epoch 1 is the newest: something was decided meanwhile; look again",
        ),
        ([], Verb.PAUSE, {"expected_epoch": -1}, "expected_epoch: found -1; allowed are 0 to 4611686018427387904"),
        ([], Verb.PAUSE, {"replace": True}, "replace: only a start can replace a release, found pause"),
        ([], Verb.ABORT, {"skip_evidence": True}, "skip_evidence: only a promotion asks for evidence, found abort"),
        (
            [],
            Verb.PROMOTE,
            {"skip_evidence": False},
            "the evidence does not say that v2 is good enough for everybody, it says NO_DATA: no evidence yet; "
            "skip_evidence promotes it all the same",
        ),
        ([], Verb.PAUSE, {"reason": " "}, "reason: found 1 characters; allowed are 1 to 1000"),
        ([], Verb.PAUSE, {"service": "code"}, "the command is for 'code' and this is 'chat'"),
    ],
)
def test_refusals(before: list[Verb], verb: Verb, more: dict[str, object], reason: str) -> None:
    """What cannot be done is refused with a sentence, and nothing else happens."""
    story = Story()
    for earlier in before:
        story.command(earlier)
    release, count = story.release, len(story.effects)
    story.command(verb, **more)
    assert story.refusals == [reason.format(id=release.id)]
    assert story.release == release
    assert len(story.effects) == count + 1


def test_nothing_to_steer() -> None:
    """Before the first start there is nothing to command."""
    story = Story(begin=False)
    story.command(Verb.PAUSE)
    assert story.refusals == ["no release of chat has been started"]


def test_resume_is_refused_while_a_gate_fails() -> None:
    """A resume that the next judgement would undo is refused with the reason."""
    story = Story()
    story.judge(Verdict.FAIL, fail_action="hold", reason="tokens_out 30 % more")
    story.command(Verb.RESUME)
    assert story.refusals == [
        f"release {story.release.id} is holding because of FAIL, which it would do again: tokens_out 30 % more"
    ]


def test_a_repeated_command_changes_nothing() -> None:
    """The same id again, at another offset, makes neither a second decision nor a refusal; so do refused ones."""
    story = Story()
    story.command(Verb.PAUSE, id="once")
    assert story.command(Verb.PAUSE, id="once") == ()
    story.command(Verb.PAUSE, id="refused")
    assert story.command(Verb.PAUSE, id="refused") == ()
    for _ in range(COMMAND_IDS_KEPT + 10):
        story.command(Verb.PAUSE)
    assert len(story.state.command_ids) == COMMAND_IDS_KEPT
