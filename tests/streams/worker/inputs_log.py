"""Logs of ``canary.inputs`` for tests: reports of growing prefixes from two source partitions, ticks, commands."""

from __future__ import annotations

import random

import numpy as np

from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.command import Command, Verb
from schemas.inputs import Forwarded, Input, Tick
from schemas.plan import EXAMPLE, parse_plan
from schemas.report import PANE_MS, SLICE_MS, Cell, Report

START_MS = 1_763_632_800_000

Log = list[tuple[Input, int]]
"""Records with their log time; the position is the offset."""


def cell(service: str, version: str, *, ts_ms: int, n: int, errors: int, latency_ms: list[float] | None = None) -> Cell:
    """A cell of one pane."""
    metrics = {"latency_ms": Measure.of(np.array(latency_ms))} if latency_ms else {}
    summary = Summary(Rate(n, errors), metrics)
    return summary.to_cell(service=service, version=version, segment="", pane=ts_ms // PANE_MS)


def report(*, source: int, slice_no: int, through: int, cells: list[Cell], newest_ms: int = 0) -> Report:
    """A report of one source partition."""
    return Report("topic", source, slice_no, first_offset=0, through_offset=through, cells=cells, newest_ms=newest_ms)


def start_command(service: str = "chat", *, command_id: str = "c1") -> Command:
    """The start of the release of the example plan."""
    plan = parse_plan(EXAMPLE)
    return Command(command_id, service, Verb.START, "ada", "a new model", START_MS, plan=plan)


def random_log(seed: int, *, steps: int, services: tuple[str, ...] = ("chat", "code")) -> Log:
    """Two source partitions in turn: partial prefixes, repeats, empty reports, final prefixes; ticks in between.

    The canary of ``chat`` fails often enough to be rolled back now and then; ``code`` appears only in the middle.
    """
    draw = random.Random(seed)
    log: Log = []
    slices, offsets = [START_MS // SLICE_MS] * 2, [0, 0]
    held: list[list[Cell]] = [[], []]
    now_ms = START_MS

    def say(record: Input) -> None:
        nonlocal now_ms
        now_ms += draw.choice((0, 5, 40, 90))
        log.append((record, now_ms))

    def tell(source: int) -> None:
        say(report(source=source, slice_no=slices[source], through=offsets[source], cells=list(held[source])))

    for step in range(steps):
        source = draw.randrange(2)
        match draw.choice(("more", "more", "same", "next", "next", "tick", "command")):
            case "more":
                for service in services[: 1 if step < steps // 2 else len(services)]:
                    for version, rate in (("v1", 0.02), ("v2", 0.5)):
                        n = draw.randrange(1, 20)
                        errors = sum(draw.random() < rate for _ in range(n))
                        ts_ms = slices[source] * SLICE_MS - draw.choice((0, 0, 3_000, 15_000))
                        latency_ms = [round(draw.lognormvariate(5, 0.5), 3) for _ in range(n)]
                        added = cell(service, version, ts_ms=ts_ms, n=n, errors=errors, latency_ms=latency_ms)
                        held[source].append(added)
                        offsets[source] += n
                tell(source)
            case "same":
                tell(source)
            case "next":
                tell(source)
                slices[source] += draw.choice((1, 1, 1, 4, 30))
                held[source] = []
                tell(source)
            case "tick":
                now_ms += draw.choice((100, 1_000, 7_000))
                say(Tick("w"))
            case _:
                say(Forwarded(start_command(command_id=f"c{step}")))
    return log
