"""Samples of units, from the cells of a beat."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.units_seen import UnitsSeen
from schemas.report import Cell, UnitCell, UnitPairs, UnitSample
from schemas.unit_hash import UNITS_SAMPLED_MAX

NOTHING = UnitPairs(b"", b"", b"")


def cell(version: str, hashes: list[int], buckets: list[int], epochs: list[int], segment: str = "") -> Cell:
    sample = UnitSample(
        np.array(hashes, dtype="<u8").tobytes(),
        np.array(buckets, dtype="<i4").tobytes(),
        np.array(epochs, dtype="<i8").tobytes(),
    )
    return Cell("chat", version, segment, 0, 1, 0, units=UnitCell(NOTHING, sample=sample))


def test_a_unit_counts_once_in_the_cell_that_comes_first() -> None:
    """Cells of several versions, segments and sources become one sample by ascending hash."""
    seen = UnitsSeen.of_cells([cell("v2", [5, 1 << 63], [9, 8], [4]), cell("v1", [2, 5], [], [3, 7], "eu")])
    assert seen.hash.tolist() == [2, 5, 1 << 63]
    assert (seen.version, seen.segment) == (("v1", "v2", "v2"), ("eu", "", ""))
    assert (seen.epoch.tolist(), seen.bucket.tolist()) == ([3, 4, 4], [-1, 9, 8])


def test_events_without_units_or_epochs() -> None:
    """Cells without a sample give none; a missing epoch is -1."""
    assert UnitsSeen.of_cells([Cell("chat", "v1", "", 0, 1, 0), cell("v1", [], [], [])]).hash.size == 0
    assert UnitsSeen.of_cells([cell("v1", [1], [], [])]).epoch.tolist() == [-1]


def test_a_merged_sample_stays_bounded() -> None:
    """Of many sources' samples the smallest hashes remain."""
    cells = [cell("v1", [source + 10 * at for at in range(UNITS_SAMPLED_MAX)], [], []) for source in range(5)]
    assert UnitsSeen.of_cells(cells).hash.tolist() == [at // 5 * 10 + at % 5 for at in range(UNITS_SAMPLED_MAX)]


@pytest.mark.parametrize(
    "sample",
    [
        UnitSample(b"\0" * 7, b"", b""),
        UnitSample(b"\0" * 16, b"", b""),
        UnitSample(b"\2" + b"\0" * 7 + b"\1" + b"\0" * 7, b"", b""),
        UnitSample(b"\0" * 8, b"\0" * 8, b""),
        UnitSample(b"\0" * 8, b"", b"\0" * 16),
    ],
)
def test_damaged_samples_are_refused(sample: UnitSample) -> None:
    """Columns of other lengths, and hashes that repeat or descend, are refused with the reason."""
    with pytest.raises(ValueError, match="UnitSample"):
        UnitsSeen.of_cells([Cell("chat", "v1", "", 0, 1, 0, units=UnitCell(NOTHING, sample=sample))])
