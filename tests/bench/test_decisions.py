"""How runs become rows of bench.decisions: what is found, when, and whom it harmed."""

from __future__ import annotations

from typing import Any

from bench import rules
from bench.decision_table import decisions_table
from bench.decisions import cases, is_healthy, ours, row_of_run, some, summary
from bench.healthy import FOLDER, plan_of
from bench.lanes import Lane, Row, harmed_by_promotion
from schemas.decision import State
from schemas.plan import Plan
from streams.cli.simulate import read_world
from streams.offline.drawing import World
from streams.offline.simulate import START_MS, Run, simulate


def read(scenario: str, plan_name: str) -> tuple[World, Plan]:
    plan = plan_of(plan_name)
    return read_world(FOLDER / f"{scenario}.yaml", plan), plan


def run(**changes: Any) -> Run:
    made: dict[str, Any] = {
        "scenario": "late-onset",
        "seed": 0,
        "state": State.PROMOTED,
        "decided_at_ms": START_MS + 2_000_000,
        "onset_ms": START_MS + 1_800_000,
        "decided_by": None,
        "requests": {"v1": 60_000, "v2": 40_000},
        "canary_requests_at_decision": 40_000,
        "canary_requests_after_onset": 5_000,
        "reason": "",
    }
    return Run(**(made | changes))


def test_a_rollback_before_the_harm_is_not_a_detection() -> None:
    """It is counted apart, and its requests are in no median."""
    rows = [Row("Serinus", "rolled_back", 5, 10, 10), Row("Serinus", "rolled_back_early", -5, 1, 0)]
    found = summary(rows)
    assert (found["rolled_back"], found["rolled_back_early"], found["requests_median"]) == (1, 1, 10)
    table = decisions_table({"runs": 2, "cases": {"late/ramp": {"healthy": False, "rules": {"Serinus": found}}}})
    assert "1 / 0 (1 before the harm); 10 [10]; 5 s [5 s]" in table and "1 of 2" in table


def test_a_hold_of_a_healthy_release_is_a_false_alarm_in_the_table() -> None:
    """As a rollback is: people are called for nothing."""
    found = summary([Row("Serinus", "held", 5, 10, 0), Row("Serinus", "promoted", 900, 99, 0)])
    bad = summary([Row("Serinus", "promoted", 900, 99, 7), Row("Serinus", "undecided", None, None, 9)])
    cases_ = {"good/joint": {"healthy": True, "rules": {"Serinus": found}}}
    cases_ |= {"bad/ramp": {"healthy": False, "rules": {"Serinus": bad}}}
    table = decisions_table({"runs": 2, "cases": cases_})
    assert "| Serinus | 1 of 2 | 0 of 2 | 1 of 2 | 8 |" in table and "| good | joint | 0 + 1 held |" in table


def test_who_promotes_harm_harms_everybody_until_the_scenario_ends() -> None:
    """1,600 s at 50 requests a second are left of the hour when it is promoted at 2,000 s; other rules count alike."""
    world, _ = read("late-onset", "share-50")
    assert row_of_run(world, run(), []).harmed == 5_000 + 1_600 * 50
    lane = Lane(rules.MannWhitney())
    lane.promote(2_000, 40_000)
    assert lane.row(world) == Row("Mann–Whitney 98 %, tolerance 0.25", "promoted", 200, 40_000, 1_600 * 50)
    assert harmed_by_promotion(world, 10) == 1_800 * 50, "what is promoted before the onset is good until then"


def test_an_undecided_release_harms_whom_its_canary_answered() -> None:
    """The end of the scenario is no rescue."""
    world, _ = read("late-onset", "share-50")
    row = row_of_run(world, run(state=State.RAMPING, decided_at_ms=None, canary_requests_at_decision=None), [])
    assert (row.state, row.after_s, row.harmed) == ("undecided", None, 5_000)


def test_a_hold_counts_from_the_moment_at_which_the_gate_held() -> None:
    """The joint gate holds after a minute or so; the canary keeps its 5 % until somebody looks, and harms no one."""
    world, plan = read("correlation-changed", "joint")
    (row,) = ours(world, plan, (0,))
    assert row.state == "held"
    assert row.after_s is not None and row.after_s < 120
    assert row.requests is not None and row.requests < 300 < row.harmed


def test_side_by_side_and_alone_give_the_same_rows() -> None:
    """Harm is found in the same second with the same requests, whichever way is taken."""
    world, plan = read("errors-1-to-5", "ramp")
    alone = simulate(world, plan, seed=1)
    assert ours(world, plan, (0, 1))[1] == row_of_run(world, alone.run, alone.decisions)


def test_every_plan_has_a_healthy_case_and_every_scenario_is_a_case() -> None:
    """So false rollbacks are known for each plan that harm is found with."""
    plans = {case.partition("/")[2] for case in cases()}
    assert plans == {case.partition("/")[2] for case in cases() if is_healthy(case)}
    assert {one.stem for one in FOLDER.glob("*.yaml")} == {case.partition("/")[0] for case in cases()}


def test_all_rules_judge_the_same_run() -> None:
    """One row of each for each seed, of traffic in which the canary fails five times as often."""
    _, rows = some(("errors-1-to-5/ramp", (0,)))
    states = {row.rule: row.state for row in rows}
    assert len(states) == len(rows) >= 9
    assert states["Serinus"] == states["oracle SPRT"] == "rolled_back"
