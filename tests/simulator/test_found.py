"""Schedules that once failed, as short as the simulator made them."""

from __future__ import annotations

import pytest

from tests.simulator.schedule import Flavour, Step
from tests.simulator.simulate import simulate

UP = (Step("ingest_start"), Step("ingest_rebalance"), Step("worker_start"), Step("worker_rebalance"))

FOUND = {
    "the last slice of a topic that was created anew was read again at every take-over": Flavour(
        0.9, False, (*UP, Step("events", 36787, 15503, 60123973), Step("ingest", 0, 1, 1), Step("recreate"))
    ),
    "an idle ingest called the new topic by the old one's id": Flavour(0.9, False, (*UP, Step("recreate"))),
    "events deleted before a running ingest read them were lost in silence": Flavour(
        0.9,
        False,
        (
            Step("events", 61006, 28475, 709398611),
            Step("ingest_start"),
            Step("ingest_rebalance", 31937),
            Step("pass", 260),
            Step("ingest", 13009, 4, 703178839),
            Step("events", 19350, 54004, 81639280),
            Step("ingest", 42664, 1, 314273391),
            Step("pass", 11000),
            Step("ingest", 53611, 0, 566074986),
            Step("retention", 47650, 31019),
        ),
    ),
    "a report was written behind one that the broker had refused": Flavour(
        0.02,
        False,
        (
            Step("events", 50328, 2, 1021739425),
            Step("pass", 11000),
            Step("events", 41452, 2, 742753758),
            Step("pass", 1100),
            Step("ingest_start"),
            Step("ingest_rebalance", 7905),
            Step("events", 63478, 2, 727502047),
            Step("pass", 1100),
            Step("ingest", 41673, 1, 693490566),
            Step("ingest", 5999, 100, 1038334624),
            Step("refuse", 29625, 47406, 518823751),
        ),
    ),
    "a beat's cells were added up in the order in which a recovery had found them": Flavour(
        0.02,
        False,
        (
            *UP,
            Step("events", 52903, 35005, 1027321326),
            Step("events", 55554, 37577, 839889946),
            Step("command", 45528, 14349),
            Step("pass", 1100),
            Step("ingest", 26100, 100, 860716579),
            Step("ingest", 52635, 4, 649174599),
            Step("worker", 61237, 20, 631062233),
            Step("pass", 1100),
            Step("ingest", 31921, 4, 1058977608),
            Step("worker", 28868, 2, 731537963),
        ),
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_it_stays_mended(what: str) -> None:
    """What the simulator once found holds now."""
    assert simulate(FOUND[what]) is None
