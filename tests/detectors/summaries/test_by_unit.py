"""What came with a unit: a monoid, the same after the wire, and refused when no events can have it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.state_codec import decode_state, encode_state
from detectors.summaries.bucket_counts import BucketCounts, tables
from detectors.summaries.by_unit import ByUnit, UnitMeasure
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import BIN_MAX, bin_of
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.inputs import decode_input, encode_input
from schemas.report import Cell, Report, UnitCell, UnitMetric, UnitPairs
from schemas.unit_hash import UNIT_BUCKETS

Request = tuple[int | None, bool, float, str]
"""Bucket of the unit, or None without one; failed; latency; finish reason."""

requests = st.lists(
    st.tuples(
        st.none() | st.integers(0, UNIT_BUCKETS - 1),
        st.booleans(),
        st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3)),
        st.sampled_from(["stop", "length", "filter"]),
    ),
    max_size=30,
)


def measured(values: list[float], buckets: list[int], *, histogram: bool = True) -> UnitMeasure:
    """Values of one metric, counted one by one."""
    numbers = np.array(values)
    bins = bin_of(numbers).astype(np.int64) if histogram else np.zeros(numbers.size, dtype=np.int64)
    dense = np.zeros(UNIT_BUCKETS)
    for bucket, value in zip(buckets, values, strict=True):
        dense[bucket] += value
    return UnitMeasure(
        BucketCounts.of(bins, np.array(buckets, dtype=np.int64)),
        dense[sorted(set(buckets))],
        Moments.of(numbers).m2,
    )


def summary_of(found: list[Request]) -> Summary:
    """The summary of requests, counted one by one."""
    plain = Summary(
        Rate(len(found), sum(failed for _, failed, _, _ in found)),
        {"latency_ms": Measure.of(np.array([value for _, _, value, _ in found]))} if found else {},
        {"finish_reason": Counts.merge_all([Counts({label: 1}) for _, _, _, label in found])} if found else {},
    )
    ours = [(bucket, failed, value, label) for bucket, failed, value, label in found if bucket is not None]
    if not ours:
        return plain
    buckets = [bucket for bucket, _, _, _ in ours]
    by_label = {
        name: BucketCounts.of(*np.array([(0, bucket) for bucket, _, _, label in ours if label == name]).T)
        for name in sorted({label for _, _, _, label in ours})
    }
    units = ByUnit(
        BucketCounts.of(np.array([int(failed) for _, failed, _, _ in ours]), np.array(buckets)),
        {"latency_ms": measured([value for _, _, value, _ in ours], buckets)},
        {"finish_reason": by_label},
    )
    return msgspec.structs.replace(plain, units=units)


def alike(a: ByUnit | None, b: ByUnit | None) -> bool:
    """The same counts, and the same sums up to rounding."""
    if a is None or b is None:
        return a is b
    return (
        a.requests == b.requests
        and a.labels == b.labels
        and a.metrics.keys() == b.metrics.keys()
        and all(
            a.metrics[name].pairs == b.metrics[name].pairs
            and np.allclose(a.metrics[name].sums, b.metrics[name].sums, rtol=1e-9, atol=1e-6)
            and np.isclose(a.metrics[name].m2, b.metrics[name].m2, rtol=1e-9, atol=1.0)
            for name in a.metrics
        )
    )


@given(requests, requests, requests)
def test_by_unit_is_a_commutative_monoid(x: list[Request], y: list[Request], z: list[Request]) -> None:
    """Identity, commutativity, associativity, and the merge of parts is the sum of all requests."""
    a, b, c = (summary_of(found) for found in (x, y, z))
    assert alike(a.merge(Summary.empty()).units, a.units)
    assert alike(a.merge(b).units, b.merge(a).units)
    assert alike(a.merge(b).merge(c).units, a.merge(b.merge(c)).units)
    assert alike(Summary.merge_all([a, b, c]).units, summary_of([*x, *y, *z]).units)


@given(requests)
def test_what_came_with_a_unit_survives_the_wire_and_the_checkpoint(found: list[Request]) -> None:
    """A report, and a stored state, hold exactly what they were made from."""
    summary = summary_of(found)
    report = Report("t", 0, 1, 0, 1, [summary.to_cell(service="chat", version="v1", segment="eu", pane=3)])
    read = decode_input(encode_input(report))
    assert isinstance(read, Report)
    assert Summary.of_cell(read.cells[0]).units == summary.units
    assert decode_state(encode_state(summary), Summary) == summary


@given(requests, st.integers(-BIN_MAX - 1, BIN_MAX))
def test_counts_above_a_bin_are_exact(found: list[Request], edge: int) -> None:
    """By bucket, the values above a bin are those whose own bin is larger, whatever its sign."""
    ours = [(bucket, value) for bucket, _, value, _ in found if bucket is not None]
    pairs = measured([value for _, value in ours], [bucket for bucket, _ in ours]).pairs
    dense = np.zeros(UNIT_BUCKETS)
    for bucket, value in ours:
        dense[bucket] += bin_of(np.array([value]))[0] > edge
    assert tables([pairs], np.array([[edge]]))[1, 0].tolist() == dense.tolist()


@pytest.mark.parametrize("largest", [1, 2, 255, 256, 65_535, 65_536, 1 << 32, (1 << 62) + 1])
def test_counts_are_as_wide_as_they_need_to_be(largest: int) -> None:
    """Every count comes back, and ones cost nothing."""
    groups = np.array([-3, 0, 9], dtype=np.int32)
    counts = BucketCounts(np.array([-600, 1801], dtype=np.int32), np.array([1, largest]))
    wire = counts.to_wire(groups)
    assert len(wire.counts) == 2 * {1: 0, 2: 1, 255: 1, 256: 2, 65_535: 2, 65_536: 4}.get(largest, 8)
    assert BucketCounts.from_wire(wire, groups, np.full(3, largest)) == counts


def pairs(sizes: bytes = b"\2\0", buckets: bytes = b"\1\7", counts: bytes = b"") -> UnitPairs:
    return UnitPairs(sizes, buckets, counts)


def cell(
    requests: UnitPairs,
    metrics: list[UnitMetric | None] | None = None,
    labels: list[UnitPairs | None] | None = None,
) -> Cell:
    """Two requests, whose parts by unit are these."""
    made = summary_of([(1, False, 2.0, "stop"), (7, False, 2.0, "stop")])
    whole = made.to_cell(service="s", version="v", segment="", pane=0)
    assert whole.units is not None
    units = UnitCell(
        requests, whole.units.metrics if metrics is None else metrics, whole.units.labels if labels is None else labels
    )
    return msgspec.structs.replace(whole, units=units)


def metric(found: UnitPairs, sums: list[float], m2: float = 0.0) -> list[UnitMetric | None]:
    return [UnitMetric(found, np.array(sums).tobytes(), m2)]


@pytest.mark.parametrize(
    "broken",
    [
        lambda: cell(pairs(sizes=b"\2")),
        lambda: cell(pairs(sizes=b"\2\1")),
        lambda: cell(pairs(buckets=b"\7\1")),
        lambda: cell(pairs(buckets=b"\7\7")),
        lambda: cell(pairs(buckets=b"\1\xc8")),
        lambda: cell(pairs(counts=b"\1")),
        lambda: cell(pairs(counts=b"\1\1\1\1\1\1")),
        lambda: cell(pairs(counts=b"\0\1")),
        lambda: cell(pairs(counts=b"\2\1")),
        lambda: cell(pairs(counts=b"\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")),
        lambda: cell(pairs(sizes=b"\0\2")),
        lambda: cell(pairs(), []),
        lambda: cell(pairs(), [None], []),
        lambda: cell(pairs(), metric(pairs(b"\2"), [1.0])),
        lambda: cell(pairs(), metric(pairs(b"\2"), [1.0, float("nan")])),
        lambda: cell(pairs(), metric(pairs(b"\2"), [1.0, 1.0], float("inf"))),
        lambda: cell(pairs(), metric(pairs(b"\2"), [1.0, 1.0], float("nan"))),
        lambda: cell(pairs(), metric(pairs(b"\2", counts=b"\2\2"), [1.0, 1.0])),
        lambda: cell(pairs(), [UnitMetric(pairs(b"\2"), b"\0" * 15, 0.0)]),
        lambda: cell(pairs(), [None], [pairs(b"\2", counts=b"\2\2")]),
    ],
)
def test_damaged_bytes_are_refused(broken: Callable[[], Cell]) -> None:
    """Bytes that no requests can have made, or that contradict the cell around them, are refused with the reason."""
    with pytest.raises(ValueError, match=r"must|are|found"):
        Summary.of_cell(broken())


def test_the_undamaged_cell_of_these_cases_is_read() -> None:
    """The cases above fail for their fault alone."""
    units = Summary.of_cell(cell(pairs(), metric(pairs(b"\2"), [2.0, 2.0]), [pairs(b"\2")])).units
    assert units is not None
    assert units.requests.n == units.metrics["latency_ms"].moments.n == 2
