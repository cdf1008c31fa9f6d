"""Schedules: what happens, in order, drawn from one seed. A step that makes no sense where it comes does nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass

STEPS = 90


@dataclass(frozen=True)
class Step:
    """One thing that happens. What ``a``, ``b`` and ``c`` mean is said at the action of that name."""

    what: str
    a: int = 0
    b: int = 0
    c: int = 0

    def __str__(self) -> str:
        return f"Step({self.what!r}, {self.a}, {self.b}, {self.c})"


@dataclass(frozen=True)
class Flavour:
    """What a whole schedule is like."""

    error_rate: float
    names_bounded: bool
    steps: tuple[Step, ...]


_USUAL = {"events": 22, "ingest": 26, "worker": 30, "pass": 12, "tick": 6, "command": 4, "commit": 3}
_INGEST = {"ingest_crash": 6, "ingest_stop": 1, "ingest_start": 2, "ingest_rebalance": 6, "ingest_tell": 2, "refuse": 2}
_WORKER = {
    "worker_crash": 6,
    "worker_stop": 1,
    "worker_start": 2,
    "worker_rebalance": 6,
    "worker_tell": 2,
    "worker_fail": 4,
    "compact": 3,
    "prune": 2,
}
_DELIVERY = {"rewind": 3, "skip": 3, "poison": 3, "poison_input": 2, "poison_command": 2, "jump": 3}
_TOPIC = {"retention": 3, "recreate": 2, "ingest_crash": 3, "ingest_start": 2, "ingest_rebalance": 2, "poison": 1}
# Where all faults are mixed, the rare ones hide each other: most schedules know only some.
_THEMES = (_INGEST, _WORKER, _WORKER, _DELIVERY, _TOPIC, _INGEST | _WORKER | _DELIVERY)

WRITTEN = (0, 1, 3, 20)
"""How many waiting records an ingest's turn ends with writing, by the remainder of ``c``."""
_ALL = 3
"""A ``c`` with which all are written."""

_COMES_BACK = {"ingest_crash": "ingest", "ingest_stop": "ingest", "worker_crash": "worker", "worker_stop": "worker"}
_PASSES_MS = ((10, 60, 130, 260), (60, 260, 510, 1_100), (130, 1_100, 1_100, 5_200, 11_000))
_JUMPS_MS = (-3_600_000, -400_000, -7_000, -600, 700, 8_000, 400_000, 3_600_000)


class _Author:
    """Writes one schedule."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.passes_ms = draw.choice(_PASSES_MS)
        self.theme = draw.choice(_THEMES)
        self.faulty = draw.choice((0.15, 0.3, 0.5))
        self.zombies = draw.choice((0.0, 0.3, 0.8))
        self.services = draw.choice(((0,), (3,), (0, 1), (0, 1, 2, 3)))
        self.steps: list[Step] = []

    def write(self, most: int) -> tuple[Step, ...]:
        self.steps += [Step("ingest_start"), Step("ingest_rebalance"), Step("worker_start"), Step("worker_rebalance")]
        for _ in range(self.draw.choice((0, 2))):
            self.add("events")
            self.steps.append(Step("command", 0, self.draw.choice(self.services)))
        while len(self.steps) < most:
            weights = self.theme if self.draw.random() < self.faulty else _USUAL
            self.add(self.draw.choices(list(weights), list(weights.values()))[0])
        return tuple(self.steps)

    def add(self, what: str) -> None:
        """One step, and what often comes with it."""
        draw = self.draw
        if what in {"ingest_rebalance", "worker_rebalance"} and draw.random() < self.zombies:
            self.steps += self._late_report() if what[0] == "i" else self._late_checkpoint()
            return
        if what == "retention" and draw.random() < 0.7:
            self.steps += self._overtaken()
            return
        self.steps.append(self.step(what))
        group = _COMES_BACK.get(what)
        if group is not None and draw.random() < 0.8:
            self.steps += [Step(f"{group}_start"), self.step(f"{group}_rebalance")]
        if what == "worker_fail" and draw.random() < 0.7:
            self.steps += [self.step("worker"), self.step("worker_start"), self.step("worker_rebalance")]

    def _late_report(self) -> list[Step]:
        """A zombie has read the beginning of a slice; what it says of it arrives when the new owner has gone on."""
        draw, events = self.draw, self.step("events")
        more = Step("events", events.a, events.b, draw.randrange(1 << 30))
        return [
            Step("ingest", 0, 100, _ALL),
            Step("events", events.a + 1, events.b, draw.randrange(1 << 30)),
            events,
            Step("pass", 260),
            Step("ingest", 0, draw.choice((1, 4)), draw.choice((0, _ALL))),
            Step("ingest_start"),
            Step("ingest_rebalance", draw.choice((0b0101, 0b0001, 0b0100)), 0b001),
            Step("pass", 260),
            Step("ingest", 1, 100, 0),
            more,
            Step("pass", draw.choice((10, 260))),
            Step("ingest", 1, 100, _ALL),
            Step("worker", 0, 60, draw.randrange(1 << 30)),
            Step("ingest", 0, draw.choice((0, 1)), _ALL),
            Step("worker", 0, 60, draw.randrange(1 << 30)),
            *([Step("ingest_crash")] if draw.random() < 0.7 else []),
        ]

    def _late_checkpoint(self) -> list[Step]:
        """A zombie stands in the middle of its writes and goes on when the new owner has written its own."""
        draw = self.draw

        def moves(who: int, how_many: int) -> Step:
            return Step("worker", who, how_many, draw.randrange(1 << 30))

        return [
            self.step("events"),
            Step("pass", draw.choice((260, 1_100))),
            Step("ingest", 0, 100, _ALL),
            moves(0, draw.choice((3, 8, 20, 60))),
            Step("worker_start"),
            Step("worker_rebalance", draw.choice((0b0101, 0b0001, 0b0100)), 0b001),
            Step("pass", 1_100),
            self.step(draw.choice(("events", "command"))),
            Step("ingest", 0, 100, _ALL),
            *([Step("tick", 1)] if draw.random() < 0.5 else []),
            moves(1, draw.choice((20, 60, 100))),
            moves(0, draw.choice((1, 2, 3, 5, 8, 20))),
            *([Step("worker_crash", 0, draw.choice((0, 1)))] if draw.random() < 0.5 else []),
            *([Step("compact", draw.randrange(2), draw.randrange(2))] if draw.random() < 0.5 else []),
            *([self.step("worker_rebalance")] if draw.random() < 0.5 else []),
        ]

    def _overtaken(self) -> list[Step]:
        """Ingest commits, stops, and retention is faster than its successor."""
        draw, events = self.draw, self.step("events")
        source = events.a

        def write() -> Step:
            return Step("events", source, draw.choice(self.services), draw.randrange(1 << 30))

        return [
            events,
            Step("pass", 260),
            write(),
            Step("ingest", 0, 100, _ALL),
            Step("pass", 1_100),
            Step("ingest", 0, 100, _ALL),
            *([Step("ingest_crash")] if draw.random() < 0.7 else []),
            write(),
            Step("retention", source, draw.randrange(5)),
            Step("ingest_start"),
            self.step("ingest_rebalance"),
        ]

    def step(self, what: str) -> Step:
        draw = self.draw
        a, b, c = draw.randrange(1 << 16), draw.randrange(1 << 16), draw.randrange(1 << 30)
        match what:
            case "events" | "command":
                return Step(what, a, draw.choice(self.services), c)
            case "pass":
                return Step(what, draw.choice(self.passes_ms))
            case "jump":
                return Step(what, draw.choice(_JUMPS_MS))
            case "ingest":
                return Step(what, a, draw.choice((0, 1, 4, 100)), c)
            case "worker":
                return Step(what, a, draw.choice((1, 3, 8, 20, 60)), c)
            case "ingest_rebalance" | "worker_rebalance":
                # Whoever is not told goes on as a zombie.
                return Step(what, a, b if draw.random() < self.zombies else 0)
            case "worker_crash":
                return Step(what, a, draw.choice((0, 0, b)))
            case _:
                return Step(what, a, b, c)


def schedule(seed: int, *, steps: int = STEPS) -> Flavour:
    """The schedule of a seed."""
    draw = random.Random(seed)
    error_rate, bounded, author = draw.choice((0.02, 0.9)), draw.random() < 0.15, _Author(draw)
    # A deleted front also hides which names came first.
    return Flavour(error_rate, bounded and "retention" not in author.theme, author.write(steps))
