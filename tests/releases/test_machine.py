"""Each transition of the machine, with the sentence that a person reads."""

from __future__ import annotations

from typing import Any

import pytest

from releases.machine import HELD_MS_AT_LEAST, step
from releases.machine_io import Commanded, Decide, Fenced, Judged, Publish, Ticked
from releases.release_state import COMMAND_IDS_KEPT, next_share_ppm, promotion_pending
from releases.routing import UNOBSERVED_AFTER_MS
from schemas.command import Command, Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.route import LEASE_MS, RENEW_MS
from tests.releases.story import MINUTE_MS, PLAN, SECOND_MS, START_MS, TWO_CANARIES, Story, plan_of

SILENT: dict[str, Any] = {"canary_requests": {"v2": 0}}


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
    assert promotion_pending(story.state)
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


def test_a_silent_canary_is_held_then_rolled_back() -> None:
    """No request for `no_data.after` holds; none for `no_data_rollback` rolls back."""
    story = Story()
    story.keep(Verdict.PASS, 15 * MINUTE_MS - SECOND_MS, share_ppm=0, **SILENT)
    assert story.last.action is Action.HOLD
    assert story.last.at_ms == START_MS + 2 * MINUTE_MS
    assert story.last.verdict is Verdict.NO_DATA
    assert story.last.reason == "Holding v2 at 1 %: no request from v2 for 2m; rolled back if that lasts for 15m."
    story.wait(SECOND_MS).judge(share_ppm=0, **SILENT)
    assert story.last.reason == "Rolled back v2 from 1 %: no request from v2 for 15m."
    assert story.last.verdict is Verdict.NO_DATA


def test_a_silent_baseline_is_held_too() -> None:
    """Without the baseline there is nothing to compare with."""
    story = Story()
    story.keep(Verdict.INCONCLUSIVE, 2 * MINUTE_MS, baseline_requests=0)
    assert story.last.reason == "Holding v2 at 1 %: no request from v1 for 2m; rolled back if that lasts for 15m."


def test_no_data_may_roll_back_directly() -> None:
    """`no_data: {action: rollback}` rolls back after `no_data.after`."""
    story = Story(plan_of(extra="limits: {no_data: {after: 1m, action: rollback}}"))
    story.keep(Verdict.PASS, MINUTE_MS, share_ppm=0, **SILENT)
    assert story.release.state is State.ROLLED_BACK


def test_a_metric_without_data_counts_as_silence() -> None:
    """Requests that never carry the metric of a gate are nothing known, however many they are."""
    story = Story()
    story.keep(Verdict.NO_DATA, 2 * MINUTE_MS + SECOND_MS, reason="latency_ms was never sent by v2")
    wanted = "Holding v2 at 1 %: NO_DATA for 2m: latency_ms was never sent by v2; rolled back if that lasts for 15m."
    assert story.last.reason == wanted


def test_holding_ends_when_the_canary_answers_again() -> None:
    """Silence over and PASS again: ramping goes on, and the next step needs no new hold."""
    story = Story()
    story.keep(Verdict.PASS, 3 * MINUTE_MS, **SILENT)
    assert story.release.state is State.HOLDING
    story.wait(SECOND_MS).judge()
    story.wait(SECOND_MS).judge()
    assert [d.action for d in story.decisions[-2:]] == [Action.RESUME, Action.ADVANCE]


def test_inconclusive_for_too_long_holds() -> None:
    """No PASS for `inconclusive.after`, counted from the end of the hold, stops the ramp."""
    story = Story(plan_of(extra="limits: {inconclusive: {after: 10m}}"))
    story.keep(Verdict.INCONCLUSIVE, 12 * MINUTE_MS)
    assert story.last.at_ms == START_MS + 12 * MINUTE_MS
    wanted = "Holding v2 at 1 %: no PASS for 5 % after waiting 10m; INCONCLUSIVE: error_rate says INCONCLUSIVE."
    assert story.last.reason == wanted


def test_inconclusive_may_roll_back() -> None:
    """`inconclusive: {action: rollback}` does; a pause stops that clock."""
    story = Story(plan_of(extra="limits: {inconclusive: {after: 10m, action: rollback}}"))
    story.command(Verb.PAUSE)
    story.keep(Verdict.INCONCLUSIVE, 30 * MINUTE_MS)
    assert story.release.active
    story.command(Verb.RESUME)
    story.keep(Verdict.INCONCLUSIVE, 10 * MINUTE_MS)
    assert story.release.state is State.ROLLED_BACK


@pytest.mark.parametrize("paused", [False, True])
def test_max_duration_rolls_back(paused: bool) -> None:
    """Who has not shown to be good by `max_duration` goes back to the baseline, paused or not."""
    story = Story(plan_of(extra="limits: {max_duration: 20m}"))
    if paused:
        story.command(Verb.PAUSE)
    story.keep(Verdict.INCONCLUSIVE, 20 * MINUTE_MS)
    wanted = "not promoted within max_duration 20m; at last INCONCLUSIVE: error_rate says INCONCLUSIVE."
    assert story.last.reason == f"Rolled back v2 from 1 %: {wanted}"
    assert story.last.at_ms == START_MS + 20 * MINUTE_MS


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


def test_two_canaries() -> None:
    """All canaries have the same share, the judge is asked for their sum, and the plan's first is promoted."""
    story = Story(plan_of(TWO_CANARIES))
    assert story.release.weights_ppm == {"v1": 980_000, "v2": 10_000, "v3": 10_000}
    assert next_share_ppm(story.state) == 100_000
    story.keep(Verdict.PASS, 2 * MINUTE_MS)
    assert story.last.reason.startswith("Opened v2 and v3 at 5 % each (v2 and v3 from 1 % each; step 2 of 3): ")
    story.keep(Verdict.PASS, 10 * MINUTE_MS)
    assert story.release.weights_ppm == {"v2": 1_000_000}


def test_two_canaries_one_silent() -> None:
    """One silent canary of two holds both; one that an operator took out does not count."""
    story = Story(plan_of(TWO_CANARIES))
    story.keep(Verdict.PASS, 2 * MINUTE_MS, canary_requests={"v2": 5})
    assert story.last.reason.startswith("Holding v2 and v3 at 1 % each: no request from v3 for 2m;")
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=0)
    story.keep(Verdict.PASS, 4 * MINUTE_MS, canary_requests={"v2": 5})
    assert story.release.weights_ppm == {"v1": 950_000, "v2": 50_000}


def test_one_of_two_is_promoted_by_name() -> None:
    """An operator's promotion may name the version."""
    story = Story(plan_of(TWO_CANARIES))
    story.command(Verb.PROMOTE, version="v3")
    assert story.release.weights_ppm == {"v3": 1_000_000}


@pytest.mark.parametrize(
    ("before", "verb", "more", "reason"),
    [
        ([], Verb.START, {"plan": plan_of()}, "release {id} is ramping; end it first: promote, rollback or abort"),
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


def test_weights_do_not_jump_with_one_long_pause_in_the_log() -> None:
    """After hours without input one judgement opens at most one step."""
    story = Story()
    story.wait(3 * 60 * MINUTE_MS).judge()
    assert story.release.weights_ppm in ({"v1": 990_000, "v2": 10_000}, {"v1": 950_000, "v2": 50_000})
