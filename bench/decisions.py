"""The catalogue of scenarios, decided by Serinus and by what people use today: `python -m bench.decisions --runs 3`.

Every run draws one stream of traffic. Serinus decides it in a closed loop. The other rules share one more pass over the
same requests, split by the plan's ramp without any evidence: each step opens when its hold is over, and the canary is
promoted at the end unless the rule has rolled it back.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import argo_rollouts, rules
from bench.arms import Second
from detectors.summaries.moments import Moments
from releases.ramps.ramp import stages_of
from schemas.plan import Plan, parse_plan
from schemas.report import Cell
from streams.cli.simulate import read_world
from streams.offline.distributions import quantity_of
from streams.offline.drawing import World
from streams.offline.simulate import START_MS, simulate
from streams.offline.traffic import Shares, Traffic

FOLDER = Path(__file__).parents[1] / "examples" / "scenarios"
RESULT = Path(__file__).parent / "results" / "decisions.json"
PLANS = {
    "late-onset": "share-50",
    "harm-in-the-last-tenth": "share-50",
    "confidence-minus-5": "quality",
    "ratings-lower": "quality",
    "output-mix": "tail",
    "rare-stalls": "tail",
    "tail-times-2": "tail",
}
"""The plan of a scenario, where it is not the ramp."""

NO_HARM = {"improved", "split-half", "correlation-changed"}
"""Scenarios in which nothing that these plans judge gets worse, besides the healthy ones."""

SERINUS = "Serinus"
STATES = ("rolled_back", "rolled_back_early", "rolled_back_by_limit", "promoted")
"""Ends that are counted: by evidence, before there was any harm, by a limit such as silence; the rest is undecided."""


def is_healthy(scenario: str) -> bool:
    """Whether a rollback of it is a false one. The trivially worse canary is tolerated by the plan."""
    return scenario.startswith("healthy") or scenario == "trivially-worse" or scenario in NO_HARM


class Lane:
    """One rule on its way through one run."""

    def __init__(self, rule: rules.Rule) -> None:
        self.rule = rule
        self.ended: str | None = None
        self.at_s: int | None = None
        self.requests: int | None = None
        self.harmed = 0

    def see(self, second: Second, requests: int, harmed: int) -> None:
        if self.ended is None:
            self.harmed = harmed
            if self.rule.failed(second):
                self._end("rolled_back", second.at_s, requests)

    def promote(self, at_s: int, requests: int) -> None:
        if self.ended is None:
            self._end("rolled_back" if self.rule.refused() else "promoted", at_s, requests)

    def _end(self, state: str, at_s: int, requests: int) -> None:
        self.ended, self.at_s, self.requests = state, at_s, requests


def rules_for(world: World, plan: Plan) -> list[rules.Rule]:
    """All rules with what each of them is allowed to know."""
    limits = {name: mean for name, (mean, _) in limits_of(world, plan).items()}
    found: list[rules.Rule] = [
        rules.ThreeSigma(),
        rules.Thresholds(limits),
        rules.MannWhitney(),
        rules.FixedHorizonZ(),
        rules.PeekingZ(),
        rules.Msprt(),
        rules.PooledSequence(),
    ]
    if argo_rollouts.PROGRAM.exists():
        found.append(argo_rollouts.ArgoRollouts(limits))
    return [*found, *oracle_of(world)]


def limits_of(world: World, plan: Plan) -> dict[str, tuple[float, float]]:
    """Per metric the worst mean that the plan's margin allows and the healthy mean, in the direction of harm."""
    found: dict[str, tuple[float, float]] = {}
    for gate in plan.gates:
        if gate.kind == "mix":
            shares = world.labels[gate.name]
            found |= {
                f"{gate.name}={value}": (share + float(gate.margin or 0), share) for value, share in shares.items()
            }
        if gate.kind not in {"rate", "mean"}:
            continue
        healthy, _ = level_of(world, gate.name)
        margin = float(gate.margin or 0)
        sign = -1.0 if gate.worse == "lower" else 1.0
        worst = healthy + margin if gate.kind == "rate" else healthy * (1 + sign * margin)
        found[gate.name] = (sign * worst, sign * healthy)
    return found


def level_of(world: World, metric: str) -> tuple[float, float]:
    """A metric's healthy mean and standard deviation."""
    arm = world.scenario.baseline
    if metric == "error_rate":
        rate = float(arm.error_rate)
        return rate, math.sqrt(rate * (1 - rate))
    if metric.startswith("feedback."):
        feedback = arm.feedback[metric.removeprefix("feedback.")]
        return feedback.mean, feedback.sd
    named = arm.latency_ms if metric == "latency_ms" else arm.values[metric.removeprefix("values.")]
    assert named is not None
    quantity = quantity_of(named, world.folder)
    values = quantity.of_normal(np.random.default_rng(0).standard_normal(200_000))
    return quantity.mean, float(values.std())


def oracle_of(world: World) -> list[rules.Rule]:
    """The oracle, for scenarios whose only change sets or multiplies one mean of all requests at once."""
    ours = world.canary[len(world.both) :]
    if len(ours) != 1 or world.both or ours[0].over_ms or ours[0].segment or len(ours[0].effects) != 1:
        return []
    effect = ours[0].effects[0]
    if effect.metric == "error_rate" and effect.kind == "to":
        healthy, sd = level_of(world, effect.metric)
        harmed = effect.value
    elif effect.kind == "times" and effect.value > 1:
        healthy, sd = level_of(world, effect.metric)
        harmed = healthy * effect.value
    else:
        return []
    return [rules.OracleSprt(effect.metric, healthy, harmed, sd, ours[0].at_ms / 1000)]


def second_of(at_s: int, cells: Sequence[Cell], plan: Plan, world: World) -> Second:
    """Totals of both arms, signed so that higher is worse."""
    means = [gate for gate in plan.gates if gate.kind == "mean"]
    signs = {gate.name: -1.0 if gate.worse == "lower" else 1.0 for gate in means}
    arms: dict[bool, dict[str, list[Moments]]] = {False: {}, True: {}}
    for cell in cells:
        arm = arms[cell.version != plan.baseline]
        if cell.n:
            arm.setdefault("error_rate", []).append(_share(cell.errors, cell.n))
        for metric in cell.metrics:
            if metric.name in signs:
                moments = Moments(metric.n, signs[metric.name] * metric.mean, metric.m2)
                arm.setdefault(metric.name, []).append(moments)
        for label in cell.labels:
            for value in world.labels[f"labels.{label.name}"]:
                name = f"labels.{label.name}={value}"
                arm.setdefault(name, []).append(_share(label.counts.get(value, 0), cell.n))
    merged = [{name: Moments.merge_all(parts) for name, parts in arms[side].items()} for side in (False, True)]
    return Second(at_s, merged[0], merged[1])


def _share(bad: int, n: int) -> Moments:
    """A rate as the mean of zeros and ones."""
    return Moments(n, bad / n, bad * (n - bad) / n)


def others(world: World, plan: Plan, seed: int) -> list[dict[str, Any]]:
    """What the other rules make of one run."""
    lanes = [Lane(rule) for rule in rules_for(world, plan)]
    traffic = Traffic(world, plan, seed=seed, start_ms=START_MS)
    stages = stages_of(plan.ramp)
    opens_s = np.cumsum([stage.hold_ms // 1000 for stage in stages]).tolist()
    onset_s = None if world.onset_ms is None else world.onset_ms // 1000
    requests = harmed = 0
    for at_s in range(min(world.steps, opens_s[-1])):
        stage = stages[sum(at_s >= end for end in opens_s)]
        salt = f"bench-{seed}"
        step = traffic.step(Shares.of(dict.fromkeys(plan.canaries, stage.weight_ppm), plan.canaries, salt))
        second = second_of(at_s, step.cells, plan, world)
        requests += sum(step.requests[1:])
        if onset_s is not None and at_s >= onset_s:
            harmed += sum(step.requests[1:])
        for lane in lanes:
            lane.see(second, requests, harmed)
    for lane in lanes:
        lane.promote(min(world.steps, opens_s[-1]), requests)
        if isinstance(lane.rule, argo_rollouts.ArgoRollouts):
            lane.rule.close()
    return [_row(lane.rule.name, lane.ended, lane.at_s, lane.requests, lane.harmed, onset_s) for lane in lanes]


def _row(
    rule: str, state: str | None, at_s: int | None, requests: int | None, harmed: int, onset_s: int | None
) -> dict[str, Any]:
    after_s = None if at_s is None else at_s - (onset_s or 0)
    if state == "rolled_back" and onset_s is not None and at_s is not None and at_s < onset_s:
        state = "rolled_back_early"
    return {"rule": rule, "state": state, "after_s": after_s, "requests": requests, "harmed": harmed}


def ours(world: World, plan: Plan, seed: int) -> dict[str, Any]:
    """What Serinus makes of it."""
    run = simulate(world, plan, seed=seed).run
    state = run.state.value
    if state == "rolled_back" and run.decided_by is None:
        state = "rolled_back_by_limit"
    at_s = None if run.decided_at_ms is None else (run.decided_at_ms - START_MS) // 1000
    onset_s = None if run.onset_ms is None else (run.onset_ms - START_MS) // 1000
    return _row(SERINUS, state, at_s, run.canary_requests_at_decision, run.canary_requests_after_onset or 0, onset_s)


def one(task: tuple[str, int]) -> tuple[str, list[dict[str, Any]]]:
    """One run of one scenario by all rules."""
    scenario, seed = task
    path = FOLDER / "plans" / f"{PLANS.get(scenario, 'ramp')}.yaml"
    plan = parse_plan(path.read_text(encoding="utf-8"), file=str(path))
    world = read_world(FOLDER / f"{scenario}.yaml", plan)
    return scenario, [ours(world, plan, seed), *others(world, plan, seed)]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The runs of one scenario by one rule."""
    ended = [row for row in rows if row["state"] == "rolled_back"]
    counts = {state: sum(row["state"] == state for row in rows) for state in STATES}
    return {
        "runs": len(rows),
        **counts,
        "undecided": len(rows) - sum(counts.values()),
        **_spread("requests", [row["requests"] for row in ended]),
        **_spread("after_s", [row["after_s"] for row in ended]),
        "harmed_median": statistics.median(row["harmed"] for row in rows),
    }


def _spread(name: str, values: list[float]) -> dict[str, float | None]:
    if not values:
        return {f"{name}_median": None, f"{name}_p90": None}
    return {f"{name}_median": float(np.median(values)), f"{name}_p90": float(np.percentile(values, 90))}


def _kept(runs: int, seed: int) -> dict[str, Any]:
    """Results of scenarios that were not asked for, as long as they are of the same runs."""
    if not RESULT.exists():
        return {}
    before: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return before["scenarios"] if (before["runs"], before["seed"]) == (runs, seed) else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each scenario")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="*", help="scenarios; the others keep their results")
    asked = parser.parse_args()
    if not argo_rollouts.build():
        print("no Go toolchain: Argo Rollouts is left out; fixed thresholds are a model of it", flush=True)
    names = asked.only or sorted(path.stem for path in FOLDER.glob("*.yaml"))
    tasks = [(name, asked.seed + run) for name in names for run in range(asked.runs)]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        for name, rows in pool.map(one, tasks):
            for row in rows:
                found.setdefault(name, {}).setdefault(row["rule"], []).append(row)
            print(f"{name}: {rows[0]['state']} after {rows[0]['after_s']} s", flush=True)
    scenarios = {
        name: {"healthy": is_healthy(name), "rules": {rule: summary(rows) for rule, rows in by_rule.items()}}
        for name, by_rule in found.items()
    }
    RESULT.parent.mkdir(exist_ok=True)
    scenarios = dict(sorted((_kept(asked.runs, asked.seed) | scenarios).items()))
    result = {"runs": asked.runs, "seed": asked.seed, "alpha": rules.ALPHA, "scenarios": scenarios}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
