"""Crashes between any two writes change nothing: the tables and the audit are those of an undisturbed worker."""

from __future__ import annotations

import random

import pytest

from tests.streams.worker.inputs_log import random_log
from tests.streams.worker.lifetimes import Lifetime, audit
from tests.streams.worker.memory_broker import Crash, MemoryBroker

STEPS = 60


def undisturbed(seed: int) -> tuple[Lifetime, MemoryBroker]:
    broker = MemoryBroker()
    worker = Lifetime(broker, random_log(seed, steps=STEPS))
    worker.read()
    return worker, broker


def crashing(seed: int, draw: random.Random) -> tuple[Lifetime, MemoryBroker]:
    broker, log = MemoryBroker(), random_log(seed, steps=STEPS)
    while True:
        broker.crash_after = len(broker.writes) + draw.choice((1, 2, 3, 5, 8, 13, 40))
        worker = Lifetime(broker, log)
        try:
            if draw.random() < 0.3:
                place = worker.partition.position.expected
                worker.read(min(len(log), place + draw.randrange(1, 12)))
                worker.stop()
                continue
            worker.read()
        except Crash:
            continue
        return worker, broker


@pytest.mark.parametrize("seed", range(25))
def test_crashes_between_any_two_writes_change_nothing(seed: int) -> None:
    """Windows, states and the audit after any crashes equal those of a worker that never crashed."""
    calm, calm_broker = undisturbed(seed)
    shaken, shaken_broker = crashing(seed, random.Random(1000 + seed))
    assert shaken.windows() == calm.windows()
    assert shaken.states() == calm.states()
    assert audit(shaken_broker) == audit(calm_broker)


@pytest.mark.parametrize("seed", range(8))
def test_a_zombie_that_goes_on_writing_changes_nothing(seed: int) -> None:
    """A worker that lost its partition and still stores checkpoints does not disturb the one that took over."""
    calm, calm_broker = undisturbed(seed)
    draw = random.Random(seed)
    broker, log = MemoryBroker(), random_log(seed, steps=STEPS)
    zombie = Lifetime(broker, log)
    zombie.read(draw.randrange(10, len(log)))
    heir = Lifetime(broker, log)
    for until in sorted(draw.randrange(len(log)) for _ in range(4)):
        heir.read(until)
        zombie.read(until - 3)
    third = Lifetime(broker, log)
    third.read()
    assert third.windows() == calm.windows()
    assert third.states() == calm.states()
    assert audit(broker) == audit(calm_broker)


def test_the_logs_of_this_test_contain_decisions() -> None:
    """The comparison above compares something: releases start, and some are rolled back."""
    text = b"".join(b"".join(audit(undisturbed(seed)[1])) for seed in range(4))
    assert b'"start"' in text
    assert b'"refusal"' in text
