"""What each ramp costs: `python -m bench.ramps --seeds 8`.

Every ramp releases the same canaries on the same traffic, with the gates and limits of the catalogue's plan `ramp`: how
long until a good canary has everything, and how many users a bad one harms. Two comparisons:

- **greedy**: a stages plan that jumps to its last share after the first minute, judged like all others.
- **Thompson sampling**, an experiment that no plan offers: each minute the canary's share is the posterior probability
  that it does not fail more often than the baseline (both error rates Beta(1 + failed, 1 + answered)), from one half at
  the start. It has everything once that is 99 %, nothing once it is 1 %. It knows errors alone, and no margin.

**Users harmed** is told from the scenario, never from an estimate: for errors the expected extra failed requests, which
are the canary's requests times how much more often it fails by the scenario; for anything else the requests that the
bad canary has answered. An hour is counted, also behind the decision: a bad canary that was promoted harms all.

Runs are kept: with more seeds only the new ones are made. `--fresh` forgets them, after a change of the detectors.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from releases.ramps.ramp import stages_of
from schemas.decision import State
from schemas.plan import Plan, parse_plan
from streams.cli.simulate import read_world
from streams.offline.drawing import World
from streams.offline.fleet import Fleet
from streams.offline.simulate import START_MS, Run
from streams.offline.traffic import Shares, Traffic

FOLDER = Path(__file__).parents[1] / "examples" / "scenarios"
RESULT = Path(__file__).parent / "results" / "ramps.json"

THOMPSON = "Thompson sampling"
RAMPS = {
    "stages, 22 min": (
        "{kind: stages, steps: [{weight: 1%, hold: 2m}, {weight: 5%, hold: 5m}, {weight: 25%, hold: 5m}, "
        "{weight: 50%, hold: 10m}]}"
    ),
    "stages, 6 min": (
        "{kind: stages, steps: [{weight: 1%, hold: 1m}, {weight: 5%, hold: 1m}, {weight: 25%, hold: 2m}, "
        "{weight: 50%, hold: 2m}]}"
    ),
    "linear, 22 min": "{kind: linear, from: 1%, to: 50%, over: 22m}",
    "exponential, 21 min": "{kind: exponential, from: 1%, to: 50%, factor: 2, every: 3m}",
    "adaptive": "{kind: adaptive, from: 1%, to: 50%, harm_budget: 100}",
    "adaptive, 210s holds": "{kind: adaptive, from: 1%, to: 50%, harm_budget: 200, hold: 210s}",
    "greedy": "{kind: stages, steps: [{weight: 1%, hold: 1m}, {weight: 50%, hold: 1m}]}",
}
GOOD = ("healthy", "healthy-diurnal", "improved")
BAD = (
    "errors-1-to-5",
    "errors-1-to-2",
    "errors-0.1-to-0.5",
    "latency-plus-30",
    "one-segment-of-ten",
    "errors-1-to-1.5",
    "slow-drift",
)
"""Of the catalogue what this plan is for: canaries that are bad from the first request on, in what it judges."""

MINUTE_S = 60
DRAWS = 4_000
CERTAIN = 0.99


class Outcome(NamedTuple):
    """How one release ended: its state, minutes until then, and the requests that the canary answered in the hour."""

    state: str
    minutes: float | None
    requests: int


def plan_of(ramp: str) -> Plan:
    """The catalogue's plan with another ramp."""
    text = (FOLDER / "plans" / "ramp.yaml").read_text(encoding="utf-8")
    head, tail = text[: text.index("ramp:")], text[text.index("metrics:") :]
    return parse_plan(f"{head}ramp: {RAMPS.get(ramp, RAMPS['greedy'])}\n{tail}", file=ramp)


def excess_of(world: World) -> float | None:
    """By how much the canary's error rate is above the baseline's, over all requests; None when it is not."""
    healthy, excess = float(world.scenario.baseline.error_rate), 0.0
    for change in world.canary[len(world.both) :]:
        share = float(world.scenario.traffic.segments[change.segment]) if change.segment else 1.0
        for effect in change.effects:
            if effect.metric == "error_rate" and effect.kind == "to":
                excess += share * (effect.value - healthy)
    return excess if excess > 0 else None


def of_run(world: World, run: Run) -> Outcome:
    """A promoted canary goes on with all requests that the scenario has left."""
    minutes = None if run.decided_at_ms is None else (run.decided_at_ms - run.started_ms) / 60_000
    requests = sum(n for version, n in run.requests.items() if version != "v1")
    if run.state is State.PROMOTED and minutes is not None:
        requests += world.requests_expected_from(round(minutes * MINUTE_S))
    return Outcome(run.state.value, minutes, requests)


def bandit(world: World, plan: Plan, seed: int) -> Outcome:
    """One hour of Thompson sampling."""
    rng, traffic = np.random.default_rng([94, seed]), Traffic(world, plan, seed=seed, start_ms=START_MS)
    failed, answered = np.zeros(2), np.zeros(2)
    share, requests, at = 0.5, 0, None
    for second in range(world.steps):
        if second % MINUTE_S == 0 and second and CERTAIN > share > 1 - CERTAIN:
            rates = rng.beta(1 + failed[:, None], 1 + (answered - failed)[:, None], (2, DRAWS))
            share = float((rates[1] <= rates[0]).mean())
            share, at = (round(share), second) if not 1 - CERTAIN < share < CERTAIN else (share, None)
        dealt = {plan.canaries[0]: round(1_000_000 * share)}
        step = traffic.step(Shares.of(dealt, plan.canaries, f"bandit-{seed}"))
        for cell in step.cells:
            arm = int(cell.version != plan.baseline)
            failed[arm], answered[arm] = failed[arm] + cell.errors, answered[arm] + cell.n
        requests += step.requests[1]
    state = "undecided" if at is None else "promoted" if share == 1 else "rolled_back"
    return Outcome(state, None if at is None else at / MINUTE_S, requests)


def simulated(task: tuple[str, str, tuple[int, ...]]) -> tuple[str, str, dict[int, Outcome]]:
    """Some releases of one scenario by one ramp."""
    ramp, scenario, seeds = task
    plan = plan_of(ramp)
    world = read_world(FOLDER / f"{scenario}.yaml", plan)
    if ramp == THOMPSON:
        return ramp, scenario, {seed: bandit(world, plan, seed) for seed in seeds}
    return ramp, scenario, {run.seed: of_run(world, run) for run in Fleet(world, plan, seeds).run()}


def known() -> dict[str, dict[str, dict[str, Any]]]:
    """The runs so far: ramp, scenario, seed."""
    if not RESULT.exists():
        return {}
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(RESULT.read_text(encoding="utf-8"))["runs"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="releases of each scenario by each ramp")
    parser.add_argument("--only", nargs="*", default=[*RAMPS, THOMPSON], help="ramps; the others keep their runs")
    parser.add_argument("--scenarios", nargs="*", default=[GOOD[0], *BAD, *GOOD[1:]], help="of them; the others stay")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--fresh", action="store_true", help="forget the runs so far of these ramps")
    asked = parser.parse_args()
    runs = {ramp: its for ramp, its in known().items() if not (asked.fresh and ramp in asked.only)}
    tasks = []
    # All ramps advance together, so that a run that is stopped has something to say of each.
    for scenario in asked.scenarios:
        for ramp in asked.only:
            done = runs.get(ramp, {}).get(scenario, {})
            seeds = tuple(seed for seed in range(asked.seeds) if str(seed) not in done)
            # One at a time takes seconds each, side by side takes as long as one.
            batch = 5 if ramp == THOMPSON else 50
            parts = [seeds[at : at + batch] for at in range(0, len(seeds), batch)]
            tasks += [(ramp, scenario, part) for part in parts if part]
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        for ramp, scenario, found in pool.map(simulated, tasks):
            kept = runs.setdefault(ramp, {}).setdefault(scenario, {})
            kept |= {str(seed): list(outcome) for seed, outcome in found.items()}
            write(runs)
            print(f"{ramp}, {scenario}: {next(iter(found.values()))}", flush=True)


def write(runs: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Keep all runs, and what a request on the canary costs by the scenario's truth."""
    plan = plan_of("greedy")
    excess = {name: excess_of(read_world(FOLDER / f"{name}.yaml", plan)) for name in BAD}
    holds = {
        ramp: sum(s.hold_ms for s in stages_of(plan_of(ramp).ramp)) / 60_000 for ramp in RAMPS if "adaptive" not in ramp
    }
    kept = {ramp: runs[ramp] for ramp in (*RAMPS, THOMPSON) if ramp in runs}
    result = {"good": list(GOOD), "bad": excess, "hold_minutes": holds, "runs": kept}
    RESULT.write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
