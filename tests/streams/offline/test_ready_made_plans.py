"""The ready-made plans: each does with its two scenarios what its comments say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from releases.shadowing import as_tried
from schemas.decision import State
from schemas.plan import parse_plan
from streams.cli import cli
from streams.cli.simulate import read_world
from streams.offline.outcome import DecidedBy
from streams.offline.simulate import Run, simulate

FOLDER = Path(__file__).parents[3] / "examples" / "plans"

PLANS = {
    "recommender": (100, "feedback.dwell_s", "new"),
    "support-bot": (10, "feedback.stars", ""),
    "driving-perception": (25, "values.confidence", "rain-eu"),
    "fraud-scoring": (100, "feedback.right", ""),
    "shop-search": (200, "values.zero_results", ""),
    "medical-imaging": (4, "feedback.agrees", ""),
    "llm-chat": (100, "labels.finish_reason", ""),
}
"""The rate that a plan is made for, and the gate and segment that its bad scenario is to be stopped by."""

SEED = 1


def played(name: str, kind: str) -> Run:
    path = FOLDER / f"{name}.yaml"
    plan = as_tried(parse_plan(path.read_text(encoding="utf-8"), file=str(path)))
    return simulate(read_world(FOLDER / "scenarios" / f"{name}-{kind}.yaml", plan), plan, seed=SEED).run


def test_every_plan_of_the_folder_is_here() -> None:
    """A plan is not added without its scenarios, nor a scenario without its plan."""
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(PLANS)
    scenarios = {path.stem for path in (FOLDER / "scenarios").glob("*.yaml")}
    assert scenarios == {f"{name}-{kind}" for name in PLANS for kind in ("good", "bad")}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_checked_promotes_its_good_scenario_and_rolls_back_its_bad_one(name: str) -> None:
    """`plan check` finds nothing that keeps it from its end, and the bad one ends by the gate that it was made for."""
    rate, metric, segment = PLANS[name]
    checked = CliRunner().invoke(cli, ["plan", "check", str(FOLDER / f"{name}.yaml"), "--rate", f"{rate}/s"])
    assert checked.exit_code == 0
    assert not any(word in checked.stdout for word in ("never promoted", "look silent", "hardly ever taken"))
    good, bad = played(name, "good"), played(name, "bad")
    assert (good.scenario, good.state, good.decided_by) == (f"{name}-good", State.PROMOTED, None)
    assert (bad.scenario, bad.state) == (f"{name}-bad", State.ROLLED_BACK)
    assert bad.decided_by is not None
    assert bad.decided_by == DecidedBy(metric, segment, bad.decided_by.detector)
