"""From blocks to batches."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.batches import MeanBatch, RateBatch, mean_batch, rate_batch
from detectors.blocks import Block
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary

BLOCKS = [
    Block("eu", 2, 0, 250, {"v1": Summary(Rate(15, 1)), "v2": Summary(Rate(5, 2)), "v3": Summary(Rate(9, 9))}),
    Block(
        "us",
        1,
        0,
        250,
        {"v1": Summary(Rate(20, 0), {"latency_ms": Measure.of(np.array([1.0, 3.0]))})},
    ),
]


def test_a_rate_batch_holds_both_arms() -> None:
    """Rows, counts and missing arms come from the blocks; other versions do not enter."""
    batch = rate_batch(BLOCKS, lambda summary: summary.requests, baseline="v1", canary="v2")
    assert batch.rows.tolist() == [2, 1]
    assert (batch.n_b.tolist(), batch.k_b.tolist()) == ([15, 20], [1, 0])
    assert (batch.n_c.tolist(), batch.k_c.tolist()) == ([5, 0], [2, 0])
    assert batch.paired.tolist() == [True, False]


def test_a_mean_batch_takes_absence_for_no_values() -> None:
    """An arm without the metric, and an arm that is not there, have n = 0."""
    batch = mean_batch(BLOCKS, "latency_ms", baseline="v1", canary="v2")
    assert batch.n_b.tolist() == [0, 2]
    assert batch.mean_b.tolist() == [0, 2]
    assert batch.n_c.tolist() == [0, 0]


def test_no_blocks_make_an_empty_batch() -> None:
    """Most beats close nothing: that is a batch too."""
    assert rate_batch([], lambda summary: summary.requests, baseline="v1", canary="v2").rows.size == 0
    assert mean_batch([], "latency_ms", baseline="v1", canary="v2").rows.size == 0


def test_rates_are_means_of_zeros_and_ones() -> None:
    """k of n has the moments of k ones and n - k zeros; an empty arm has none."""
    means = MeanBatch.of_rates(RateBatch.of([(1, Rate(8, 2), Rate.empty())]))
    whole = Moments.of(np.array([1.0, 1.0, 0, 0, 0, 0, 0, 0]))
    assert (means.mean_b[0], means.m2_b[0]) == (whole.mean, whole.m2)
    assert (means.n_c[0], means.m2_c[0]) == (0, 0)


def test_an_arm_of_less_than_a_millionth_counts_as_missing() -> None:
    """One request beside a hundred million is no pair, beside a hundred thousand it is."""
    batch = RateBatch.of([(1, Rate(10**8, 0), Rate(1, 0)), (2, Rate(10**5, 0), Rate(1, 0))])
    assert batch.paired.tolist() == [False, True]


@pytest.mark.parametrize("rows", [[1, 1], [0, 1], [-1, 2]])
def test_rows_are_distinct_segments(rows: list[int]) -> None:
    """A segment twice would be learned once, and row 0 is the total's: both are refused."""
    with pytest.raises(ValueError, match="rows"):
        RateBatch.of([(row, Rate(1, 0), Rate(1, 0)) for row in rows])
    with pytest.raises(ValueError, match="rows"):
        MeanBatch.of([(row, Moments(1, 1.0, 0.0), Moments(1, 1.0, 0.0)) for row in rows])


def test_impossible_counts_are_refused() -> None:
    """More bad than all, negative counts, and a negative sum of squares."""
    one = np.ones(1)
    for n, k in ((1.0, 2.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="counts"):
            RateBatch(np.array([1]), one * n, one * k, one, one)
    with pytest.raises(ValueError, match="m2"):
        MeanBatch(np.array([1]), n_b=one, mean_b=one, m2_b=-one, n_c=one, mean_c=one, m2_c=one)
