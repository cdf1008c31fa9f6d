"""`serinus simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypedDict, Unpack

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from releases.shadowing import as_tried
from schemas.decision import State
from schemas.file_errors import parse_document
from schemas.plan import Plan
from schemas.scenario import Scenario, parse_scenario
from streams.cli.options import json_option
from streams.cli.output import print_json
from streams.cli.plan_file import read_plan
from streams.cli.release_view import decision_line
from streams.offline.drawing import World
from streams.offline.fleet import Fleet
from streams.offline.fleet_setup import batch_of, columns_read
from streams.offline.simulate import Run, Simulated, summary_of
from streams.offline.simulate import simulate as simulate_run
from streams.offline.traffic import metrics_drawn


class How(TypedDict):
    """How many releases, from which seed, in how many processes, and whether side by side."""

    runs: int
    seed: int
    jobs: int
    fleet: bool


@click.command()
@click.argument("files", metavar="SCENARIO…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--plan", "plan_file", metavar="PLAN", required=True, type=click.Path(path_type=Path), help="The plan.")
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="Releases of each scenario.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first run; others follow.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes to use.")
@click.option(
    "--side-by-side", "fleet", is_flag=True, help="Many runs in the same arrays: much faster, without their sentences."
)
@json_option
def simulate(files: tuple[Path, ...], plan_file: Path, *, as_json: bool, **how: Unpack[How]) -> None:
    """Try a plan on made-up traffic that follows the routes which the release publishes.

    The same seed gives the same runs, whatever the number of processes, and side by side as well. A single run is told
    decision by decision.
    """
    plan = as_tried(read_plan(plan_file))
    worlds = [read_world(file, plan) for file in files]
    if how["fleet"]:
        _check_fleet(worlds, plan)
    sizes = [batch_of(world, plan) if how["fleet"] else 1 for world in worlds]
    tasks = [task for number, size in enumerate(sizes) for task in _tasks(number, how, size)]
    jobs = how["jobs"]
    batches = (_run(worlds, plan, task) for task in tasks) if jobs == 1 else _in_processes(files, plan, tasks, jobs)
    found: list[Run] = []
    screen = Console(stderr=True)
    for batch in track(
        batches, "Releases", total=len(tasks), console=screen, transient=True, disable=not screen.is_terminal
    ):
        found += [one.run for one in batch]
        for one in batch:
            if as_json:
                print_json(one.run)
            elif how["runs"] == 1:
                for decision in one.decisions:
                    click.echo(decision_line(decision))
    if as_json:
        print_json(summary_of(found))
    else:
        Console().print(_table(found))


def read_world(path: Path, plan: Plan) -> World:
    """Read a scenario and the files beside it, for the metrics that a plan looks at.

    Raises
    ------
    schemas.file_errors.FileError : the scenario, or a file that it names, is wrong.
    click.UsageError : the scenario cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.UsageError(f"{path}: not readable: {what}") from error
    parse_scenario(text, file=str(path))
    made: list[World] = []

    def make(checked: Scenario) -> None:
        made.append(World(checked, path.parent, metrics_drawn(plan)))

    # Once more, so that what does not fit the scenario's own baseline is told with its line too.
    parse_document(text, Scenario, file=str(path), rules=make)
    return made[0]


class Task(NamedTuple):
    """Releases of one scenario: one by one, or side by side."""

    scenario: int
    seeds: range
    fleet: bool


_task: list[tuple[list[World], Plan]] = []
"""In a process of the pool: what every task needs, read once."""


def _prepare(files: tuple[Path, ...], plan: Plan) -> None:
    _task[:] = [([read_world(file, plan) for file in files], plan)]


def _tasks(scenario: int, how: How, size: int) -> list[Task]:
    end = how["seed"] + how["runs"]
    return [
        Task(scenario, range(first, min(first + size, end)), how["fleet"]) for first in range(how["seed"], end, size)
    ]


def _check_fleet(worlds: list[World], plan: Plan) -> None:
    """Raises UsageError for what cannot be simulated side by side."""
    try:
        for world in worlds:
            columns_read(world, plan)
    except ValueError as error:
        raise click.UsageError(f"--side-by-side: {error}") from error


def _run(worlds: list[World], plan: Plan, task: Task) -> list[Simulated]:
    world = worlds[task.scenario]
    if task.fleet:
        return [Simulated(run, []) for run in Fleet(world, plan, task.seeds).run()]
    return [simulate_run(world, plan, seed=seed) for seed in task.seeds]


def _run_here(task: Task) -> list[Simulated]:
    return _run(*_task[0], task)


def _in_processes(files: tuple[Path, ...], plan: Plan, tasks: list[Task], jobs: int) -> Iterator[list[Simulated]]:
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare, (files, plan)) as pool:
        yield from pool.map(_run_here, tasks)


def _table(runs: list[Run]) -> Table:
    """How the runs of each scenario ended: ``rolled`` back at all, ``proven`` by evidence, ``open`` not decided.

    Minutes and canary requests are the medians of the decided ones.
    """
    names = ("scenario", "runs", "promoted", "rolled", "proven", "open", "min", "requests")
    table = Table(*names, box=None, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    for name in dict.fromkeys(run.scenario for run in runs):
        ours = [run for run in runs if run.scenario == name]
        ends = [run.state for run in ours]
        decided = [run for run in ours if run.decided_at_ms is not None]
        minutes = [((run.decided_at_ms or 0) - run.started_ms) / 60_000 for run in decided]
        requests = [run.canary_requests_at_decision or 0 for run in decided]
        table.add_row(
            name,
            str(len(ours)),
            str(ends.count(State.PROMOTED)),
            str(ends.count(State.ROLLED_BACK)),
            str(sum(run.decided_by is not None for run in ours)),
            str(len(ours) - len(decided)),
            f"{median(minutes):.1f}" if decided else "-",
            f"{median(requests):,.0f}" if decided else "-",
        )
    return table
