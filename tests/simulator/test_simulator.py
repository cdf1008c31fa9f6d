"""Faults of every kind between any two steps: the invariants hold on every schedule."""

from __future__ import annotations

import pytest

from tests.simulator.schedule import Flavour, Step, schedule
from tests.simulator.simulate import shrink, simulate

SEEDS = 100
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_on_every_schedule(first: int) -> None:
    """Each event once, states that are the fold of their inputs, epochs that grow; `make simulate-faults` runs more."""
    for seed in range(first, first + CHUNK):
        failure = simulate(schedule(seed))
        assert failure is None, f"seed {seed}: {failure}; python -m tests.simulator --first {seed} --seeds 1 shrinks it"


def test_a_seed_is_one_schedule_with_one_outcome() -> None:
    """The same seed gives the same steps, and a broken world breaks in the same place."""
    assert schedule(7) == schedule(7)
    broken = Flavour(0.0, False, (*schedule(7).steps[:30], Step("create_time")))
    assert simulate(broken) == simulate(broken)


def test_a_failing_schedule_shrinks_to_what_matters() -> None:
    """Steps without which it still fails are left out."""
    needed = {Step("events", 1), Step("retention", 2)}
    flavour = Flavour(0.0, False, (*schedule(3).steps[:40], *needed, *schedule(4).steps[:20]))
    assert set(shrink(flavour, lambda one: needed <= set(one.steps)).steps) == needed
