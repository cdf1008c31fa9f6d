"""The catalogue of scenarios: every file is read, drawn and simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plan import Plan, parse_plan
from schemas.scenario import parse_scenario
from streams.cli.simulate import read_world
from streams.offline.simulate import simulate
from streams.offline.traffic import Shares, Traffic

FOLDER = Path(__file__).parents[3] / "examples" / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.yaml"))
PLANS = sorted((FOLDER / "plans").glob("*.yaml"))


def plan(name: str) -> Plan:
    path = FOLDER / "plans" / f"{name}.yaml"
    return parse_plan(path.read_text(encoding="utf-8"), file=str(path))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_named_as_its_file_and_can_be_drawn(path: Path) -> None:
    """Every scenario of the catalogue works with the plans beside it, and its traffic arrives."""
    assert parse_scenario(path.read_text(encoding="utf-8")).name == path.stem
    for name in ("ramp", "quality", "tail"):
        traffic = Traffic(read_world(path, plan(name)), plan(name), seed=1, start_ms=0)
        steps = [traffic.step(Shares.of({"v2": 500_000}, ["v2"], "salt")) for _ in range(20)]
        assert sum(step.requests[0] for step in steps) > 0


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_of_the_catalogue_is_valid(path: Path) -> None:
    """A plan that the tables name can be started."""
    assert parse_plan(path.read_text(encoding="utf-8"), file=str(path)).service == "chat"


@pytest.mark.parametrize(
    ("scenario", "metric"),
    [("errors-1-to-5", "error_rate"), ("latency-plus-30", "latency_ms"), ("one-segment-of-ten", "error_rate")],
)
def test_harm_is_found_and_named(scenario: str, metric: str) -> None:
    """A clear regression is rolled back by the gate on the metric that got worse, and by the segment it is in."""
    run = simulate(read_world(FOLDER / f"{scenario}.yaml", plan("ramp")), plan("ramp"), seed=4).run
    assert run.decided_by is not None and run.decided_by.metric == metric
    assert run.decided_by.segment == ("s3" if scenario == "one-segment-of-ten" else "")
    assert run.canary_requests_after_onset == run.canary_requests_at_decision


def test_lower_ratings_are_found_and_say_how_late_they_come() -> None:
    """Ratings that come after five minutes roll back by themselves, and the reason counts them and their delay."""
    run = simulate(read_world(FOLDER / "ratings-lower.yaml", plan("quality")), plan("quality"), seed=1).run
    assert run.decided_by is not None and run.decided_by.metric == "feedback.rating"
    assert run.reason.startswith("Rolled back v2 from ")
    assert " requests of v2, half of it within 5.0 min (v1: 5.0 min); at most 1 in " in run.reason


def test_a_silent_canary_is_rolled_back_without_evidence() -> None:
    """Nothing known is never good: the release ends by the limit on silence, and no gate is blamed."""
    run = simulate(read_world(FOLDER / "silent-from-the-start.yaml", plan("ramp")), plan("ramp"), seed=4).run
    assert run.state.value == "rolled_back" and run.decided_by is None
    assert run.requests["v2"] == 0 and run.decided_at_ms == run.started_ms + 15 * 60_000
