"""How often a healthy release is rolled back by evidence: `python -m bench.healthy --releases 2000`.

Whole releases under whole plans, side by side (:mod:`streams.offline.fleet`) where a fleet judges all of the plan.
Counts are kept after each batch: a run that was stopped, or is asked for more releases, goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from schemas.decision import State
from schemas.plan import Plan, parse_plan
from schemas.units import Fraction
from streams.cli.simulate import read_world
from streams.offline.drawing import World
from streams.offline.fleet import Fleet
from streams.offline.fleet_setup import batch_of, columns_read
from streams.offline.simulate import Run, simulate

FOLDER = Path(__file__).parents[1] / "examples" / "scenarios"
RESULT = Path(__file__).parent / "results" / "healthy.json"
CASES = (
    "healthy/ramp",
    "healthy/share-1",
    "healthy/share-5",
    "healthy/share-50",
    "healthy-bursts/ramp",
    "healthy-diurnal/ramp",
    "healthy-heavy-tails/ramp",
    "healthy-heavy-tails/share-1",
    "healthy-latency-falls/ramp",
    "healthy-latency-rises/ramp",
    "healthy-outage/ramp",
    "healthy-outage/share-5",
    "healthy-real-arrivals/ramp",
    "healthy-vm-noise/ramp",
    "trivially-worse/ramp",
    "trivially-worse/share-50",
    "healthy/ramp, tolerance 0",
    "healthy/share-50, tolerance 0",
    "healthy-heavy-tails/ramp, tolerance 0",
    "healthy-heavy-tails/share-1, tolerance 0",
    "healthy-latency-rises/ramp, tolerance 0",
    "healthy-outage/ramp, tolerance 0",
    "healthy-vm-noise/ramp, tolerance 0",
    "healthy-users/ramp",
    "healthy-users/ramp, tolerance 0",
    "healthy-users/ramp, by request",
    "healthy-users/ramp, tolerance 0, by request",
    "healthy-users/tail",
    "healthy-users/tail, tolerance 0",
    "healthy-users-independent/ramp",
    "healthy/tail",
    "healthy/tail, tolerance 0",
    "healthy-latency-rises/tail",
    "healthy/quality",
    "healthy/quality, tolerance 0",
)
"""Scenario and plan."""

ZERO = ", tolerance 0"
"""A plan in which every degradation counts, however small: what alpha bounds is seen best there."""

ALONE = 10
"""Releases of a batch that runs one after another."""

BY_REQUEST = ", by request"
"""A plan that counts the requests of users as if each were one of its own: what that does, and why nobody should."""


def simulated(task: tuple[str, int, int]) -> tuple[str, dict[str, float]]:
    """A batch of one case: how its releases ended, and the seconds of a core that it took."""
    case, first, releases = task
    began_s = time.process_time()
    scenario, _, named = case.partition("/")
    plan = plan_of(named)
    world = read_world(FOLDER / f"{scenario}.yaml", plan)
    seeds = range(first, first + releases)
    if not taken_side_by_side(world, plan):
        alone = Counter(outcome(simulate(world, plan, seed=seed).run) for seed in seeds)
        return case, {"releases": releases, **alone, "core_s": time.process_time() - began_s}
    fleet = Fleet(world, plan, seeds)
    counts = Counter(outcome(one) for one in fleet.run())
    if world.scenario.traffic.users is not None:
        counts["split_error"] = len(fleet.split_errors)
    return case, {"releases": releases, **counts, "core_s": time.process_time() - began_s}


def taken_side_by_side(world: World, plan: Plan) -> bool:
    """Whether a fleet judges all that the plan has."""
    try:
        columns_read(world, plan)
    except ValueError:
        return False
    return True


def batches(case: str, done: int, releases: int) -> list[tuple[str, int, int]]:
    """What is left to simulate of a case, in parts that fit the memory."""
    scenario, _, named = case.partition("/")
    plan = plan_of(named)
    world = read_world(FOLDER / f"{scenario}.yaml", plan)
    size = batch_of(world, plan) if taken_side_by_side(world, plan) else ALONE
    return [(case, first, min(size, releases - first)) for first in range(done, releases, size)]


def plan_of(named: str) -> Plan:
    """A plan of the catalogue, as it is, without its tolerances, or counting requests."""
    path = FOLDER / "plans" / f"{named.partition(',')[0]}.yaml"
    plan = parse_plan(path.read_text(encoding="utf-8"), file=str(path))
    if BY_REQUEST in named:
        plan = msgspec.structs.replace(plan, independent="request")
    if ZERO not in named:
        return plan
    metrics = tuple(msgspec.structs.replace(metric, tolerance=Fraction(0.0)) for metric in plan.metrics)
    return msgspec.structs.replace(plan, metrics=metrics)


def outcome(run: Run) -> str:
    """What is counted."""
    if run.state is State.ROLLED_BACK:
        return "rolled_back_by_limit" if run.decided_by is None else "rolled_back"
    return "promoted" if run.state is State.PROMOTED else "open"


def known() -> dict[str, dict[str, float]]:
    """The counts so far."""
    if not RESULT.exists():
        return {}
    found: dict[str, dict[str, float]] = json.loads(RESULT.read_text(encoding="utf-8"))["cases"]
    return found


def add(cases: dict[str, dict[str, float]], case: str, counts: dict[str, float]) -> None:
    """Add a batch to the counts, and keep them."""
    before = cases.get(case, {})
    cases[case] = {name: round(before.get(name, 0) + counts.get(name, 0), 1) for name in before | counts}
    RESULT.parent.mkdir(exist_ok=True)
    kept: dict[str, Any] = {"alpha": 0.05, "cases": dict(sorted(cases.items()))}
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=2_000, help="of each case, those of earlier runs included")
    parser.add_argument(
        "--only", nargs="*", default=CASES, help="cases, as scenario/plan; what is known of others stays"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget earlier runs of these cases: after a change of the detectors"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    asked = parser.parse_args()
    cases = {case: counts for case, counts in known().items() if not (asked.fresh and case in asked.only)}
    done = {case: int(cases.get(case, {}).get("releases", 0)) for case in asked.only}
    tasks = [task for case in asked.only for task in batches(case, done[case], asked.releases)]
    # All cases advance together, so that a run that is stopped has something to say of each.
    tasks.sort(key=lambda task: task[1])
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        for case, counts in pool.map(simulated, tasks):
            add(cases, case, counts)
            print(f"{case}: {cases[case]}", flush=True)


if __name__ == "__main__":
    main()
