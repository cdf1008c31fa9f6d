from __future__ import annotations

from itertools import product

import msgspec
import pytest

from releases.plan_difference import differences
from releases.reconcile import Change, Deed, reconcile
from schemas.decision import Action, Decision, State, plan_hash
from schemas.evidence import Verdict
from schemas.plan import EXAMPLE, Plan, parse_plan

PLAN = parse_plan(EXAMPLE)
OTHER = parse_plan(EXAMPLE.replace("0.5%", "1%"))


def newest(state: State, plan: Plan = PLAN, epoch: int = 7) -> dict[str, Decision]:
    decision = Decision(
        service=plan.service, release_id="chat-1", epoch=epoch, at_ms=1, action=Action.HOLD, state=state,
        verdict=Verdict.PASS, weights_ppm={}, actor="serinus", reason="r", plan_hash=plan_hash(plan),
    )  # fmt: skip
    return {plan.service: decision}


def one(changes: list[Change]) -> Change:
    [change] = changes
    return change


@pytest.mark.parametrize(("state", "same", "retry"), list(product(State, [True, False], [True, False])))
def test_what_is_done_about_a_plan(state: State, same: bool, retry: bool) -> None:
    """By where the release stands, whether it has this plan, and whether what failed is to be tried again."""
    ended_badly = state in {State.ROLLED_BACK, State.ABORTED}
    if not same:
        expected = Deed.START if state.final else Deed.REPLACE
    elif ended_badly:
        expected = Deed.START if retry else Deed.NOT_RETRIED
    else:
        expected = Deed.KEEP
    change = one(reconcile([PLAN], newest(state, PLAN if same else OTHER), retry=retry))
    assert (change.deed, change.epoch, change.plan) == (expected, 7, PLAN)


def test_the_first_release_expects_that_there_was_none() -> None:
    """Of two who start a first release at once, the second is refused; an epoch that only a route has counts."""
    assert one(reconcile([PLAN], {}))[1:] == (Deed.START, PLAN, None, 0)
    assert one(reconcile([PLAN], {}, epochs={"chat": 9, "code": 3})).epoch == 9


@pytest.mark.parametrize("prune", [True, False])
def test_what_runs_without_a_plan_is_aborted_only_when_asked(prune: bool) -> None:
    """It is named otherwise; what has ended needs nobody's plan."""
    code = msgspec.structs.replace(PLAN, service="code")
    for state in State:
        changes = reconcile([PLAN], newest(State.RAMPING) | newest(state, code, epoch=3), prune=prune)
        ours = [(change.service, change.deed, change.epoch) for change in changes]
        left = [] if state.final else [("code", Deed.ABORT if prune else Deed.UNPLANNED, 3)]
        assert ours == [("chat", Deed.KEEP, 7), *left]


@pytest.mark.parametrize("state", State)
def test_applying_twice_changes_nothing(state: State) -> None:
    """Once the wanted plan runs, there is nothing left to do."""
    change = one(reconcile([PLAN], newest(state, OTHER)))
    assert change.deed.sends
    assert not one(reconcile([PLAN], newest(State.RAMPING))).deed.differs


def test_fields_that_differ_are_named_and_shown_as_a_file_has_them() -> None:
    """A metric that is put first leaves the others alone; what is not written counts as its default."""
    changed = parse_plan(
        EXAMPLE.replace("metrics:", "metrics:\n  - {name: latency_ms, margin: 10%, statistic: p99}").replace(
            "hold: 10m", "hold: 1h"
        )
        + "alpha: 0.05\nby_segment: false\n"
    )
    found = {each.field: (each.before, each.after) for each in differences(PLAN, changed)}
    assert found.pop("ramp.steps[1].hold") == ("10m", "1h")
    assert found.pop("by_segment") == ("true", "false")
    assert found.pop("metrics[latency_ms p99].margin") == (None, "10%")
    assert all(field.startswith("metrics[latency_ms p99].") and before is None for field, (before, _) in found.items())
    assert differences(PLAN, PLAN) == []


def test_lists_and_labels_with_dots_stand_in_one_line() -> None:
    """User groups, and a metric whose name has a dot in it."""
    plan = parse_plan(
        EXAMPLE.replace("kind: stages,", 'kind: stages, segments: [[internal, beta], ["*"]],')
        + "  - {name: values.tokens_out, margin: 10%, worse: either}\n"
    )
    found = {each.field: each.after for each in differences(None, plan)}
    assert found["ramp.segments"] == "[[internal, beta], [*]]"
    assert found["metrics[values.tokens_out].worse"] == "either"
    assert found["canaries"] == "[v2]" and found["alpha"] == "0.05"
    assert "metrics[values.tokens_out].range" not in found
