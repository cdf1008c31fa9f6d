"""The catalogue of scenarios, decided by Serinus and by what people use today: `python -m bench.decisions --runs 40`.

Every run draws one stream of traffic. Serinus decides it in a closed loop; the other rules share one more pass over the
same requests (:mod:`bench.lanes`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import argo_rollouts, rules
from bench.healthy import FOLDER, plan_of
from bench.lanes import Row, others, row_of
from schemas.decision import Decision, State
from schemas.evidence import Verdict
from schemas.plan import Plan
from streams.cli.simulate import read_world
from streams.offline.drawing import World
from streams.offline.fleet import Fleet
from streams.offline.simulate import START_MS, Run, simulate

RESULT = Path(__file__).parent / "results" / "decisions.json"
PLANS = {
    "correlation-changed": "joint",
    "three-shifts": "joint",
    "late-onset": "share-50",
    "harm-in-the-last-tenth": "share-50",
    "confidence-minus-5": "quality",
    "ratings-lower": "quality",
    "output-mix": "tail",
    "rare-stalls": "tail",
    "tail-times-2": "tail",
}
"""The plan of a scenario, where it is not the ramp."""

ALSO = ("correlation-changed/ramp", "healthy/joint", "healthy/quality", "healthy/share-50", "healthy/tail")
"""Under a second plan: so that every plan has a canary in which nothing is wrong that it judges."""

NO_HARM = {"trivially-worse/ramp", "improved/ramp", "correlation-changed/ramp"}
"""Besides the healthy scenarios: a tenth of what the plan tolerates, and nothing that it judges gets worse."""

SERINUS = "Serinus"
STATES = ("rolled_back", "held", "rolled_back_early", "rolled_back_by_limit", "promoted")
"""Ends that are counted. Held: for good, by a gate that the plan wants to hold."""

TOGETHER = 20
"""Runs of a task."""


def cases() -> list[str]:
    """The catalogue, as scenario/plan."""
    return sorted([*(f"{one.stem}/{PLANS.get(one.stem, 'ramp')}" for one in FOLDER.glob("*.yaml")), *ALSO])


def is_healthy(case: str) -> bool:
    """Whether a rollback of it is a false one."""
    return case.startswith("healthy") or case in NO_HARM


def ours(world: World, plan: Plan, seeds: Sequence[int]) -> list[Row]:
    """What Serinus makes of it: side by side, or one by one where a fleet leaves something out."""
    try:
        fleet = Fleet(world, plan, seeds)
    except ValueError:
        alone = (simulate(world, plan, seed=seed) for seed in seeds)
        return [row_of_run(world, one.run, one.decisions) for one in alone]
    return [row_of_run(world, run, []) for run in fleet.run()]


def row_of_run(world: World, run: Run, decisions: Sequence[Decision]) -> Row:
    """A run as a row. A fleet's gates all roll back, so there is no hold to look for."""
    state, at_ms, requests = _end(run), run.decided_at_ms, run.canary_requests_at_decision
    held = next((one for one in decisions if (one.state, one.verdict) == (State.HOLDING, Verdict.FAIL)), None)
    if held is not None and state in {"rolled_back", "undecided"}:
        # It was found when the first gate held, whatever another one made of it later.
        state = "held" if state == "undecided" else state
        at_ms, requests = held.at_ms, max(row.n_canary for row in held.evidence if row.verdict is Verdict.FAIL)
    at_s = None if at_ms is None else (at_ms - START_MS) // 1000
    return row_of(world, Row(SERINUS, state, at_s, requests, run.canary_requests_after_onset or 0))


def _end(run: Run) -> str:
    if run.state is State.ROLLED_BACK:
        return "rolled_back_by_limit" if run.decided_by is None else "rolled_back"
    return "promoted" if run.state is State.PROMOTED else "undecided"


def some(task: tuple[str, tuple[int, ...]]) -> tuple[str, list[Row]]:
    """Some runs of one case by all rules."""
    case, seeds = task
    scenario, _, named = case.partition("/")
    plan = plan_of(named)
    world = read_world(FOLDER / f"{scenario}.yaml", plan)
    return case, ours(world, plan, seeds) + [row for seed in seeds for row in others(world, plan, seed)]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The runs of one case by one rule. Spreads are of those in which evidence found something."""
    found = [row for row in rows if row.state in {"rolled_back", "held"}]
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    return {
        "runs": len(rows),
        **counts,
        "undecided": len(rows) - sum(counts.values()),
        **_spread("requests", [row.requests for row in found if row.requests is not None]),
        **_spread("after_s", [row.after_s for row in found if row.after_s is not None]),
        "harmed_median": float(np.median([row.harmed for row in rows])),
        "harmed_mean": float(np.mean([row.harmed for row in rows])),
    }


def _spread(name: str, values: list[int]) -> dict[str, float | None]:
    if not values:
        return {f"{name}_median": None, f"{name}_p90": None}
    return {f"{name}_median": float(np.median(values)), f"{name}_p90": float(np.percentile(values, 90))}


def _kept(runs: int, seed: int) -> dict[str, Any]:
    """Results of cases that were not asked for, as long as they are of the same runs."""
    if not RESULT.exists():
        return {}
    before: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return before["cases"] if (before["runs"], before["seed"]) == (runs, seed) else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="runs of each case")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="*", help="cases, as scenario/plan; the others keep their results")
    asked = parser.parse_args()
    if not argo_rollouts.build():
        print("no Go toolchain: Argo Rollouts is left out; fixed thresholds are a model of it", flush=True)
    end = asked.seed + asked.runs
    parts = [tuple(range(first, min(first + TOGETHER, end))) for first in range(asked.seed, end, TOGETHER)]
    tasks = [(case, seeds) for case in asked.only or cases() for seeds in parts]
    kept, found = _kept(asked.runs, asked.seed), dict[str, list[Row]]()
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        for case, rows in pool.map(some, tasks):
            found.setdefault(case, []).extend(rows)
            names = dict.fromkeys(row.rule for row in found[case])
            by_rule = {name: summary([row for row in found[case] if row.rule == name]) for name in names}
            kept[case] = {"healthy": is_healthy(case), "rules": by_rule}
            print(case, by_rule[SERINUS], flush=True)
            if by_rule[SERINUS]["runs"] == asked.runs:
                _write({"runs": asked.runs, "seed": asked.seed, "alpha": rules.ALPHA, "cases": kept})


def _write(result: dict[str, Any]) -> None:
    RESULT.parent.mkdir(exist_ok=True)
    result["cases"] = dict(sorted(result["cases"].items()))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
