"""One schedule from its first step to the balance of its books, and the smallest schedule that still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tests.simulator.actions import ACTIONS
from tests.simulator.quiet import come_to_rest
from tests.simulator.reference import Broken
from tests.simulator.schedule import Flavour, Step
from tests.simulator.settle_loop import SettleLoop
from tests.simulator.world import World


class Failure(msgspec.Struct, frozen=True):
    """Which invariant broke, after which step."""

    what: str
    step: int


def simulate(flavour: Flavour) -> Failure | None:
    """Run a schedule; None when every invariant held throughout."""
    loop = SettleLoop()
    world = World(flavour, loop)
    at = -1
    try:
        with world.laws():
            try:
                for at, step in enumerate(flavour.steps):  # noqa: B007 (the last one is told)
                    ACTIONS[step.what](world, step)
                    world.check()
                at += 1
                come_to_rest(world)
            finally:
                for process in world.workers:
                    process.end("over")
    except Broken as broken:
        return Failure(str(broken), at)
    finally:
        loop.close()
    return None


def shrink(flavour: Flavour, fails: Callable[[Flavour], bool] | None = None) -> Flavour:
    """Leave out steps, many at once and then one by one, as long as the schedule still fails.

    Source: A. Zeller, "Yesterday, my program worked" (1999): delta debugging.
    """
    fails = fails or (lambda one: simulate(one) is not None)
    steps = list(flavour.steps)
    size = max(1, len(steps) // 2)
    while size:
        at, shorter = 0, False
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(_with(flavour, fewer)):
                steps, shorter = fewer, True
            else:
                at += size
        if not shorter or size > 1:
            size //= 2
    return _with(flavour, steps)


def _with(flavour: Flavour, steps: Sequence[Step]) -> Flavour:
    return Flavour(flavour.error_rate, flavour.names_bounded, tuple(steps))
