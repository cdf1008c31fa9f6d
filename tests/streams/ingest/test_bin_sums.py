"""Bins of a slice: whatever is added at a time, they are those of a fold in the order of the log."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.summaries.log_histogram import BIN_MAX
from streams.ingest.bin_sums import BinSums

TARGETS = 4
entries = st.lists(
    st.tuples(
        st.integers(0, TARGETS - 1), st.integers(-3, 3) | st.sampled_from([-BIN_MAX, BIN_MAX]), st.integers(1, 5)
    ),
    max_size=40,
)


def add(sums: BinSums, some: list[tuple[int, int, int]]) -> int:
    """Add entries as a batch does; returns how many values found no place."""
    if sums.has_room(len(some)):
        target, index, count = np.array(some, dtype=np.int64).reshape(-1, 3).T
        sums.add(target, index, count)
        return 0
    return sum(count for target, index, count in some if not sums.add_scarce(target, index, count))


def by_hand(some: list[tuple[int, int, int]], most: int) -> tuple[list[dict[int, int]], int]:
    """One by one in plain Python: the first bin of a target is free, others are while there are any left."""
    found: list[dict[int, int]] = [{} for _ in range(TARGETS)]
    folded = 0
    for target, index, count in some:
        bins = found[target]
        place = index
        if index not in bins and bins:
            if most == 0:
                place = min(sorted(bins), key=lambda one, index=index: abs(one - index))  # type: ignore[misc]
                folded += count
            else:
                most -= 1
        bins[place] = bins.get(place, 0) + count
    return [dict(sorted(bins.items())) for bins in found], folded


@pytest.mark.parametrize("waiting", [0, 1 << 14])
@given(some=entries, cuts=st.lists(st.integers(0, 40), max_size=4), most=st.integers(0, 12))
def test_any_batches_give_the_bins_of_the_log(
    some: list[tuple[int, int, int]], cuts: list[int], most: int, waiting: int
) -> None:
    """Before, at and after the point where there is no room."""
    with patch("streams.ingest.bin_sums._WAITING_MAX", waiting):
        sums, folded = BinSums(most), 0
        edges = sorted({0, len(some), *(min(cut, len(some)) for cut in cuts)})
        for start, end in pairwise(edges):
            folded += add(sums, some[start:end])
            sums.report(TARGETS)
        found = [
            dict(zip(np.frombuffer(bins, "<i4").tolist(), np.frombuffer(counts, "<i8").tolist(), strict=True))
            for bins, counts in sums.report(TARGETS)
        ]
    assert (found, folded) == by_hand(some, most)
    assert [list(one) for one in found] == [sorted(one) for one in found]
