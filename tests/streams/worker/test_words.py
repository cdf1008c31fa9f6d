"""Words are made when somebody asks, and say what the evidence says."""

from __future__ import annotations

from releases.assessment import assess
from releases.machine_io import Decide
from releases.release_state import Release
from releases.ruling import rule
from releases.telling import told
from schemas.command import Command, Verb
from schemas.decision import Action, Decision
from schemas.evidence import Verdict
from schemas.plan import EXAMPLE, parse_plan
from schemas.report import Cell
from streams.worker.fold import Effect, fold, start_service
from streams.worker.state import Asked, Input, Service, SliceSeen

PLAN = parse_plan(EXAMPLE, file="plan.yaml")


def command(verb: Verb) -> Asked:
    return Asked(Command(verb.value, "chat", verb, "ann", "to see", 0, plan=PLAN if verb is Verb.START else None))


def seen(beat: int, *, errors: int) -> Input:
    """One slice with 60 requests of the baseline and 40 of the canary."""
    cells = (Cell("chat", "v1", "", 0, 60, 1), Cell("chat", "v2", "", 0, 40, errors))
    return Input(beat, 250 * beat, SliceSeen("topic/0", beat, beat, cells))


def run(beats: int, *, errors: int) -> tuple[Service, list[Effect]]:
    """A release, and what was decided on the way."""
    service, started = fold(start_service("chat", 0, 0), Input(0, 0, command(Verb.START)))
    effects = list(started)
    for beat in range(1, beats):
        service, more = fold(service, seen(beat, errors=errors))
        effects += more
    return service, effects


def release_of(service: Service) -> Release:
    release = service.stored.release.release
    assert release is not None
    return release


def decisions(effects: list[Effect]) -> list[Decision]:
    return [effect.decision for effect in effects if isinstance(effect, Decide)]


def test_an_evaluation_that_decides_nothing_has_a_verdict_and_no_words() -> None:
    """Sentences cost as much as the evidence: they are not made four times a second for nobody."""
    service, _ = run(20, errors=1)
    said = release_of(service).assessment
    assert said.verdict is not Verdict.NO_DATA and said.reason == "" and said.evidence == ()


def test_who_reads_gets_the_words_of_the_evidence_that_was_judged() -> None:
    """The view's sentences and verdict are those of a full assessment of the same evidence."""
    service, _ = run(20, errors=1)
    release, judge = release_of(service), service.stored.judge
    assert judge is not None
    words = assess(PLAN, judge, running=("v2",), for_share_ppm=release.assessment.for_share_ppm)
    shown = told(release, judge).assessment
    assert (shown.verdict, shown.reason, shown.evidence) == (words.verdict, words.reason, words.evidence)
    assert told(told(release, judge), judge) == told(release, judge)


def test_a_command_is_recorded_with_the_evidence_of_its_moment() -> None:
    """An operator's decision between two evaluations carries the rows of the last one."""
    before, _ = run(20, errors=1)
    judge = before.stored.judge
    assert judge is not None
    _, effects = fold(before, Input(99, 250 * 20, command(Verb.PAUSE)))
    (paused,) = decisions(list(effects))
    assert paused.action is Action.PAUSE
    assert paused.evidence and paused.evidence == told(release_of(before), judge).assessment.evidence


def test_a_rollback_says_why() -> None:
    """The decision that the evidence takes names numbers, and its rows are those of its own moment."""
    _, effects = run(30, errors=12)
    rolled_back = decisions(effects)[-1]
    assert rolled_back.action is Action.ROLLBACK and "at most 1 in" in rolled_back.reason
    assert next(row.verdict for row in rolled_back.evidence if row.role == "gate") is Verdict.FAIL


def test_the_verdict_without_words_is_that_of_the_assessment() -> None:
    """One rule decides for both, at every moment, for every share."""
    for errors in (0, 1, 12):
        for beats in (1, 3, 9, 30):
            judge = run(beats, errors=errors)[0].stored.judge
            assert judge is not None
            for share_ppm in (500_000, 1_000_000):
                short = rule(PLAN, judge, running=("v2",), for_share_ppm=share_ppm)
                long = assess(PLAN, judge, running=("v2",), for_share_ppm=share_ppm)
                assert (short.verdict, short.fail_action) == (long.verdict, long.fail_action)
