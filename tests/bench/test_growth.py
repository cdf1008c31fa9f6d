"""The cost of an event has no cliff as traffic becomes more varied."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.growth import AXES, Shape, cost, draw, events, growth_table

RATIO_MAX = 3.0
"""Twice as much of anything costs at most some 2 times as much, and 4 times if it were quadratic."""

TRIES_MIN, TRIES_MAX = 3, 8


@pytest.mark.parametrize("axis", ["services", "segments", "metrics", "partitions"])
def test_twice_as_much_does_not_cost_four_times_as_much(axis: str) -> None:
    """The two largest sizes of each axis: the least CPU time of tries in turn, as other load may last for some."""
    half, whole = AXES[axis][-2:]
    assert whole == 2 * half
    least = [inf, inf]
    for tried in range(1, TRIES_MAX + 1):
        tries = (cost(replace(Shape(), **{axis: size}), slices=2)["us"] for size in (half, whole))
        least = [min(pair) for pair in zip(least, tries, strict=True)]
        if tried >= TRIES_MIN and least[1] < RATIO_MAX * least[0]:
            return
    pytest.fail(f"{least[1]:.2f} µs an event against {least[0]:.2f} µs with half as many {axis}")


def test_records_have_the_size_and_the_variety_that_is_asked_for() -> None:
    """Filled up to the byte, and every name occurs."""
    raw = events(Shape(services=3, event_bytes=400), now_ms=1_700_000_000_000)
    assert {len(one) for one in raw} == {400}
    assert cost(Shape(services=3, partitions=1), slices=1)["cells"] == 3 * 2 * 4


def test_the_table_and_the_picture_are_of_the_results(tmp_path: Path) -> None:
    """A cell's price is the slope between the ends of an axis; an axis without more cells has none."""
    ends = [{"at": 1, "us": 1.0, "cells": 10, "bytes": 250}, {"at": 4, "us": 3.0, "cells": 110, "bytes": 250}]
    flat = [{**row, "cells": 8} for row in ends]
    found = {"events_per_slice": 10_000, "axes": dict.fromkeys(AXES, ends) | {"metrics": flat}}
    table = growth_table(found)
    assert "| services | 1 → 4 | 10 → 110 | 1.00 → 3.00 µs | 200 µs |" in table
    assert "| metrics | 1 → 4 | 8 → 8 | 1.00 → 3.00 µs |  |" in table
    draw(found, tmp_path / "growth.svg")
    assert ElementTree.parse(tmp_path / "growth.svg").getroot().tag.endswith("svg")
