"""From what came with a unit to batches by bucket."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.blocks import Block
from detectors.summaries.log_histogram import bin_of
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from detectors.unit_batches import (
    UnitBatch,
    unit_exceedance_batches,
    unit_mean_batch,
    unit_rate_batch,
    with_unit,
)
from detectors.unit_label_batches import unit_labels
from tests.detectors.summaries.test_by_unit import Request, summary_of

BASELINE: list[Request] = [(3, False, 10.0, "stop"), (3, True, 30.0, "length"), (199, False, 20.0, "stop")]
CANARY: list[Request] = [(3, True, 40.0, "length"), (None, True, 9.0, "length")]
BLOCKS = [
    Block("eu", 2, 0, 250, {"v1": summary_of(BASELINE), "v2": summary_of(CANARY)}),
    Block("us", 1, 0, 250, {"v1": summary_of(BASELINE[:1]), "v3": summary_of(BASELINE)}),
]
ARMS = {"baseline": "v1", "canary": "v2"}


def filled(batch: UnitBatch) -> dict[str, list[tuple[int, int, float]]]:
    """What is not zero: (row of the batch, bucket, number)."""
    return {
        name: [(row, bucket, float(table[row, bucket])) for row, bucket in np.argwhere(table).tolist()]
        for name, table in (("n_b", batch.n_b), ("b", batch.sum_b), ("n_c", batch.n_c), ("c", batch.sum_c))
    }


def test_a_rate_batch_counts_what_came_with_a_unit() -> None:
    """Requests and errors by bucket; a request without a unit, another version and a missing arm do not enter."""
    batch = unit_rate_batch(BLOCKS, **ARMS)
    assert batch.rows.tolist() == [2, 1]
    assert filled(batch) == {
        "n_b": [(0, 3, 2.0), (0, 199, 1.0), (1, 3, 1.0)],
        "b": [(0, 3, 1.0)],
        "n_c": [(0, 3, 1.0)],
        "c": [(0, 3, 1.0)],
    }
    assert batch.m2_b.tolist() == [pytest.approx(2 / 3), 0.0]


def test_a_mean_batch_sums_what_came_with_a_unit() -> None:
    """Sums by bucket, and the deviations of exactly these values; a metric that is missing has n = 0."""
    batch = unit_mean_batch(BLOCKS, "latency_ms", **ARMS)
    assert filled(batch)["b"] == [(0, 3, 40.0), (0, 199, 20.0), (1, 3, 10.0)]
    assert filled(batch)["c"] == [(0, 3, 40.0)]
    assert (batch.m2_b.tolist(), batch.m2_c.tolist()) == ([pytest.approx(200.0), 0.0], [0.0, 0.0])
    assert not unit_mean_batch(BLOCKS, "values.unknown", **ARMS).n_b.any()


def test_exceedance_batches_count_above_each_arm_s_own_edges() -> None:
    """A value in the edge's own bin is not above it; each edge of the canary has its batch."""
    ten, twenty, forty = bin_of(np.array([10.0, 20.0, 40.0])).tolist()

    def batches(edge_b: int) -> list[UnitBatch]:
        return unit_exceedance_batches(BLOCKS, "latency_ms", edge_b=edge_b, edges_c=(forty - 1, forty), **ARMS)

    near, far = batches(ten)
    assert filled(near)["b"] == filled(far)["b"] == [(0, 3, 1.0), (0, 199, 1.0)]
    assert (filled(near)["c"], filled(far)["c"]) == ([(0, 3, 1.0)], [])
    assert filled(near)["n_c"] == filled(far)["n_c"] == [(0, 3, 1.0)]
    assert filled(batches(twenty)[0])["b"] == [(0, 3, 1.0)]
    assert filled(batches(ten - 1)[0])["b"] == [(0, 3, 2.0), (0, 199, 1.0), (1, 3, 1.0)]


def test_labels_count_one_value_against_all() -> None:
    """All values count into n, one without a unit in the bucket of the moment; an unknown label has none. Each choice
    of values has a group of rows, ascending."""
    batch = unit_labels(BLOCKS, "finish_reason", **ARMS).counted([(), ("length",), ("stop", "length")], 4)
    assert (batch.rows.tolist(), batch.stride) == ([1, 2, 5, 6, 9, 10], 4)
    found = filled(batch)
    assert found["n_b"] == [
        (2 * g + r, k, n) for g in range(3) for r, k, n in ((0, 3, 1.0), (1, 3, 2.0), (1, 199, 1.0))
    ]
    assert found["n_c"] == [(2 * g + 1, bucket, 1.0) for g in range(3) for bucket in (1, 3)]
    assert found["b"] == [(3, 3, 1.0), *found["n_b"][6:]]
    assert found["c"] == [(3, 1, 1.0), (3, 3, 1.0), (5, 1, 1.0), (5, 3, 1.0)]
    assert not any(filled(unit_labels(BLOCKS, "unknown", **ARMS).counted([()], 4)).values())


def test_no_blocks_make_empty_batches() -> None:
    """Most beats close nothing."""
    assert unit_rate_batch([], **ARMS).rows.size == 0
    assert unit_mean_batch([], "latency_ms", **ARMS).rows.size == 0
    assert [b.rows.size for b in unit_exceedance_batches([], "latency_ms", edge_b=0, edges_c=(0, 1), **ARMS)] == [0, 0]


def test_how_many_requests_came_with_a_unit() -> None:
    """The judge sees how many carried one, of how many, whether or not any did."""
    plain = msgspec.structs.replace(BLOCKS[0], arms={"v1": Summary(Rate(7, 0))})
    assert with_unit(BLOCKS, "v1") == (4, 4)
    assert with_unit(BLOCKS, "v2") == (1, 2)
    assert with_unit([plain], "v1") == (0, 7)
    assert with_unit([], "v1") == (0, 0)
