"""Hooks and the machine: every decision names the plan's hooks for its action, and nothing else changes."""

from __future__ import annotations

import msgspec

from releases.explain import explain
from schemas.command import Verb
from schemas.decision import Action, decode_record, encode_record
from schemas.evidence import Verdict
from schemas.hook import Hook
from tests.releases.story import MINUTE_MS, PLAN, Story, plan_of

HOOKS = """
hooks:
  - {when: [start, advance], webhook: "https://hooks.example/a"}
  - {when: [advance, rollback, hold], command: page, format: slack}
"""
FIRST = Hook(("start", "advance"), webhook="https://hooks.example/a")
SECOND = Hook(("advance", "rollback", "hold"), command="page", format="slack")


def played(story: Story) -> Story:
    """Started, advanced twice, paused, rolled back."""
    story.keep(Verdict.PASS, 8 * MINUTE_MS)
    story.command(Verb.PAUSE)
    story.wait(1_000).judge(Verdict.FAIL)
    return story


def test_each_decision_names_its_hooks() -> None:
    """In the plan's order, those whose actions have this one; a pause that nobody asked about names none."""
    story = played(Story(plan_of(PLAN, HOOKS)))
    assert [(decision.action, decision.hooks) for decision in story.decisions] == [
        (Action.START, (FIRST,)),
        (Action.ADVANCE, (FIRST, SECOND)),
        (Action.ADVANCE, (FIRST, SECOND)),
        (Action.PAUSE, ()),
        (Action.ROLLBACK, (SECOND,)),
    ]
    assert {(decision.baseline, decision.canaries) for decision in story.decisions} == {("v1", ("v2",))}


def test_plan_check_says_who_is_told() -> None:
    """In words, with a warning where an alert would not end."""
    lines = explain(plan_of(PLAN, "hooks: [{when: [hold], webhook: pager, format: alertmanager}]"))
    assert any(line.startswith("On hold: webhook pager is given alertmanager") for line in lines)
    assert any(line.startswith("Warning: webhook pager: an alert of a hold is ended by") for line in lines)


def test_hooks_survive_the_topic() -> None:
    """What `serinus hooks` reads is what the machine said."""
    for decision in played(Story(plan_of(PLAN, HOOKS))).decisions:
        assert decode_record(encode_record(decision)) == decision


def test_hooks_change_no_decision() -> None:
    """The same story with and without them: only who is told differs, and the hashes that hold it."""

    def bare(story: Story) -> list[object]:
        return [
            msgspec.structs.replace(decision, hooks=(), plan_hash="", previous_hash="") for decision in story.decisions
        ]

    assert bare(played(Story(plan_of(PLAN, HOOKS)))) == bare(played(Story(plan_of(PLAN))))
