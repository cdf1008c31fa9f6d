from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.decision import Action, State
from streams.cli import cli
from streams.offline.simulate import START_MS, simulate
from tests.streams.offline.worlds import PLAN, SCENARIO, plan, world

BAD = "canary: [{at: 30s, error_rate: {to: 50%}}]\n"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", *words], prog_name="serinus", catch_exceptions=False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A scenario and a plan."""
    scenario, plan_file = tmp_path / "s.yaml", tmp_path / "p.yaml"
    scenario.write_text(SCENARIO + BAD)
    plan_file.write_text(PLAN)
    return str(scenario), str(plan_file)


def test_the_loop_is_closed() -> None:
    """Traffic follows the routes: the canary's share in the requests is that of the steps that evidence opened."""
    found = simulate(world(), plan(), seed=1)
    actions = [decision.action for decision in found.decisions]
    assert actions == [Action.START, Action.ADVANCE, Action.PROMOTE]
    start, advance, promote = (decision.at_ms for decision in found.decisions)
    expected = 50 * (0.2 * (advance - start) + 0.5 * (promote - advance)) / 1000
    assert found.run.requests["v2"] == pytest.approx(expected, rel=0.15)
    assert found.run.canary_requests_at_decision == found.run.requests["v2"]
    assert found.run.onset_ms is None and found.run.canary_requests_after_onset is None


def test_requests_after_the_onset_are_told_from_those_before() -> None:
    """Requests are counted from the moment the canary begins to differ."""
    run = simulate(world(BAD), plan(), seed=1).run
    assert run.state is State.ROLLED_BACK and run.decided_by is not None and run.decided_by.metric == "error_rate"
    assert run.onset_ms == START_MS + 30_000 and run.decided_at_ms is not None and run.decided_at_ms > run.onset_ms
    after, at_all = run.canary_requests_after_onset, run.canary_requests_at_decision
    assert after is not None and at_all is not None and 0 < after < at_all


HARD = """both:
  - {at: 40s, for: 30s, latency_ms: {times: 3}, error_rate: {to: 20%}}
  - {at: 0s, over: 5m, latency_ms: {times: 1.3}}
"""


@pytest.mark.parametrize("seed", range(6))
def test_what_hits_both_versions_rolls_nothing_back(seed: int) -> None:
    """An outage and a drift while the share ramps are nobody's fault; fixed seeds, each wrong at most 1 in 20 times."""
    assert simulate(world(HARD), plan(), seed=seed).run.decided_by is None


def test_an_undecided_release_says_so() -> None:
    """A scenario that ends before the release has no decision, and no requests at one."""
    made = world(text=SCENARIO.replace("duration: 5m", "duration: 10s"))
    run = simulate(made, plan(), seed=1).run
    assert (run.state, run.decided_at_ms, run.canary_requests_at_decision) == (State.RAMPING, None, None)


def test_the_same_seed_is_the_same_run() -> None:
    """Runs can be repeated by their seed; another seed is another run."""
    first, again, other = (simulate(world(BAD), plan(), seed=seed) for seed in (3, 3, 4))
    assert first == again and first.run.requests != other.run.requests


def test_json_lines_are_those_of_the_contract(files: tuple[str, str]) -> None:
    """One line a run with its seed and all promised fields, then a summary that adds up; processes change nothing."""
    scenario, plan_file = files
    result = run(scenario, "--plan", plan_file, "--runs", "3", "--seed", "5", "--json")
    assert result.exit_code == 0
    *runs, summary = (json.loads(line) for line in result.stdout.splitlines())
    assert [one["seed"] for one in runs] == [5, 6, 7]
    promised = (
        "type scenario seed state decided_at_ms onset_ms decided_by requests canary_requests_at_decision "
        "canary_requests_after_onset"
    )
    assert all(set(promised.split()) <= one.keys() and one["type"] == "run" for one in runs)
    assert runs[0]["decided_by"] == {"metric": "error_rate", "segment": "", "detector": "evalue-2x2"}
    assert summary["type"] == "summary" and summary["runs"] == 3 and summary["states"] == {"rolled_back": 3}
    apart = run(scenario, "--plan", plan_file, "--runs", "3", "--seed", "5", "--json", "--jobs", "2")
    assert apart.stdout == result.stdout


def test_side_by_side_prints_the_same_runs_without_their_sentences(files: tuple[str, str]) -> None:
    """All that the contract promises is equal; only the reason says where the sentences are."""
    scenario, plan_file = files
    asked = (scenario, "--plan", plan_file, "--runs", "4", "--seed", "5", "--json")
    alone, together = (
        [json.loads(line) | {"reason": ""} for line in run(*asked, *more).stdout.splitlines()]
        for more in ((), ("--side-by-side",))
    )
    assert together == alone


def test_side_by_side_refuses_what_it_leaves_out(files: tuple[str, str]) -> None:
    """A gate that holds is not taken for one that rolls back."""
    scenario, plan_file = files
    Path(plan_file).write_text(PLAN + "  - {name: feedback.rating, worse: lower, margin: 5%, action: hold}\n")
    said = run(scenario, "--plan", plan_file, "--side-by-side")
    assert said.exit_code == 2 and "--side-by-side: a fleet judges rates, means" in said.stderr


def test_people_get_a_table(files: tuple[str, str]) -> None:
    """One run is told decision by decision; every scenario has its line."""
    scenario, plan_file = files
    said = run(scenario, "--plan", plan_file).stdout
    assert "Rolled back v2" in said and "made-up" in said


def test_wrong_input_is_one_line_with_the_file(files: tuple[str, str], tmp_path: Path) -> None:
    """A scenario that lacks what the plan judges is refused before anything runs, and so is one that is not there."""
    scenario, plan_file = files
    Path(scenario).write_text(SCENARIO.replace("latency_ms:", "values:").replace("{lognormal", "{t: {lognormal", 1))
    for wrong in (scenario, str(tmp_path / "none.yaml")):
        result = run(wrong, "--plan", plan_file)
        assert result.exit_code == 2 and wrong in result.stderr and len(result.stderr.splitlines()) == 1
    Path(scenario).write_text(SCENARIO + "canary:\n  - {at: 0s}\n  - {at: 0s, segment: asia, latency_ms: {times: 2}}\n")
    said = run(scenario, "--plan", plan_file).stderr
    assert f"{scenario}:13: canary[1].segment" in said
