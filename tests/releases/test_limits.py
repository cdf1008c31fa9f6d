"""Limits: silence, indecision and length of a release, each with its action and its sentence."""

from __future__ import annotations

import pytest

from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from tests.releases.story import MINUTE_MS, SECOND_MS, SILENT, START_MS, TWO_CANARIES, Story, plan_of


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


def test_two_canaries_one_silent() -> None:
    """One silent canary of two holds both; one that an operator took out does not count."""
    story = Story(plan_of(TWO_CANARIES))
    story.keep(Verdict.PASS, 2 * MINUTE_MS, canary_requests={"v2": 5})
    assert story.last.reason.startswith("Holding v2 and v3 at 1 % each: no request from v3 for 2m;")
    story.command(Verb.SET_WEIGHT, version="v3", weight_ppm=0)
    story.keep(Verdict.PASS, 4 * MINUTE_MS, canary_requests={"v2": 5})
    assert story.release.weights_ppm == {"v1": 950_000, "v2": 50_000}


def test_an_error_does_not_make_a_silence_look_shorter() -> None:
    """A canary that has been silent for 15 minutes is rolled back then, whatever else went wrong meanwhile."""
    story = Story()
    story.keep(Verdict.PASS, 5 * MINUTE_MS, share_ppm=0, **SILENT)
    story.keep(Verdict.ERROR, 10 * MINUTE_MS, share_ppm=0, **SILENT)
    assert story.release.state is State.ROLLED_BACK
    assert story.last.at_ms == START_MS + 15 * MINUTE_MS
