"""By bucket of units: bounded bytes, bounded samples, and nothing at all for events without units."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest

from detectors.summaries.bucket_counts import tables
from detectors.summaries.by_unit import ByUnit
from detectors.units_seen import UnitsSeen
from schemas.event import InferenceEvent, encode_event
from schemas.inputs import encode_input
from schemas.report import Cell, Report, UnitCell
from schemas.unit_hash import UNITS_SAMPLED_MAX
from streams.ingest.aggregate import aggregate
from streams.ingest.records import Records
from tests.streams.ingest.direct_fold import assert_cells, assert_samples, direct, exact_part
from tests.streams.ingest.samples import BASE_MS, event


def one_slice(events: list[InferenceEvent], cuts: tuple[int, ...] = ()) -> Report:
    raws = [encode_event(one) for one in events]
    edges = [0, *sorted(cuts), len(raws)]
    batches = [Records.of(raws[a:b], [BASE_MS] * (b - a), first_offset=a) for a, b in pairwise(edges)]
    (reports,) = list(aggregate(batches))
    return reports[0]


def many(count: int, *, users: int, seed: int = 1, **fields: object) -> list[InferenceEvent]:
    rng = random.Random(seed)
    return [
        event(
            version=rng.choice(["v1", "v2"]),
            error=rng.random() < 0.1,
            latency_ms=rng.lognormvariate(5, 0.5),
            labels={"finish_reason": rng.choice(["stop", "length"])},
            unit=f"u{rng.randrange(users)}",
            epoch=at * 3 // count,
            bucket=rng.randrange(1_000_000),
            **fields,
        )
        for at in range(count)
    ]


def units_of(cell: Cell) -> UnitCell:
    assert cell.units is not None
    return cell.units


@pytest.mark.parametrize("waiting", [1, 500, 1 << 16])
def test_when_entries_are_counted_changes_nothing(waiting: int) -> None:
    """Many values, cut and counted anywhere, give the direct fold; a unit's first request stands for it."""
    events = many(5000, users=3000)
    with patch("streams.ingest.unit_sums._WAITING_MAX", waiting):
        report = one_slice(events, (17, 2500, 2501, 4000))
    assert_cells(report.cells, direct(events))
    assert_samples(report.cells, events)
    assert exact_part(report) == exact_part(one_slice(events))


def test_events_without_units_cost_nothing() -> None:
    """Without units, or with empty ones, a cell says nil in one byte."""
    events = [event(), event(unit="")]
    (cell,) = one_slice(events).cells
    assert cell.units is None
    report = Report("t", 0, 1, 0, 1, [cell])
    assert encode_input(report).count(b"\xc0") == 2  # the other one says that there are no vectors


def test_feedback_with_a_unit_counts_its_values_alone() -> None:
    """Feedback brings values by bucket, no request, and no unit to the sample: its version was chosen before."""
    (cell,) = one_slice([event(kind="feedback", latency_ms=None, values={"rating": 4.0}, unit="u")]).cells
    units = ByUnit.of_cell(cell)
    assert units is not None
    assert (units.requests.n, units.metrics["feedback.rating"].moments.mean) == (0, 4.0)
    assert units_of(cell).sample is None


def test_too_many_pairs_are_joined_and_none_is_lost() -> None:
    """A report stays within its bytes: neighbouring buckets are counted as one, in counts and sums alike."""
    events = many(4000, users=3000)
    whole = one_slice(events)
    with patch("streams.ingest.sums.UNIT_BYTES_MAX", 1):
        coarsest = one_slice(events, (1000,))
    with patch("streams.ingest.sums.UNIT_BYTES_MAX", 5000):
        coarser = one_slice(events)
    sizes = [len(encode_input(report)) for report in (coarsest, coarser, whole)]
    assert sizes == sorted(set(sizes))
    for report, buckets in ((coarsest, {0}), (coarser, None)):
        for cell, full in zip(report.cells, whole.cells, strict=True):
            ours, theirs = ByUnit.of_cell(cell), ByUnit.of_cell(full)
            assert ours is not None
            assert theirs is not None
            assert buckets is None or set(ours.requests.buckets.tolist()) == buckets
            assert (ours.requests.n, tables([ours.requests], np.array([[0]]))[1].sum()) == (cell.n, cell.errors)
            ms, fine = ours.metrics["latency_ms"], theirs.metrics["latency_ms"]
            assert ms.pairs.n == fine.pairs.n
            assert ms.m2 == pytest.approx(fine.m2)
            assert ms.sums.sum() == pytest.approx(fine.sums.sum())


def test_a_bin_that_is_refused_takes_its_units_along() -> None:
    """When a slice may open no more bins, the nearest one counts a value, its unit too."""
    events = [event(latency_ms=float(at), unit=f"u{at % 7}") for at in (1, 1000, 50, 2, 900)]
    for cuts in ((), (2,), (3, 4)):
        with patch("streams.ingest.sums.BINS_MAX", 1):
            (cell,) = one_slice(events, cuts).cells
        units = ByUnit.of_cell(cell)
        assert units is not None
        assert Counter((units.metrics["latency_ms"].pairs.codes // 200).tolist()).total() == 5
        assert units.metrics["latency_ms"].moments.mean == pytest.approx(1953 / 5)


def test_samples_are_bounded_over_all_services() -> None:
    """One service reports 256 units; of very many services each reports fewer, the same smallest hashes."""
    events = many(3000, users=10**6)
    assert UnitsSeen.of_cells(one_slice(events).cells).hash.size == UNITS_SAMPLED_MAX
    crowd = [one for at in range(5) for one in many(600, users=10**6, seed=at, service=f"s{at}")]
    with patch("streams.ingest.sums.UNITS_REPORTED_MAX", 50):
        report = one_slice(crowd)
    for at in range(5):
        cells = [cell for cell in report.cells if cell.service == f"s{at}"]
        whole = [cell for cell in one_slice(crowd).cells if cell.service == f"s{at}"]
        assert UnitsSeen.of_cells(cells).hash.tolist() == UnitsSeen.of_cells(whole).hash[:10].tolist()


def test_nonsense_in_epoch_and_bucket_is_no_knowledge() -> None:
    """Numbers that no route can have become -1; the event counts all the same."""
    raw = [
        event(unit=f"u{at}", epoch=epoch, bucket=bucket) for at, (epoch, bucket) in enumerate([(-5, -1), (7, 10**6)])
    ]
    huge = encode_event(event(unit="u2", epoch=3, bucket=4)).replace(b'"epoch":3', b'"epoch":' + b"9" * 19)
    records = Records.of([*map(encode_event, raw), huge], [BASE_MS] * 3)
    (((report,),),) = [list(aggregate([records]))]
    seen = UnitsSeen.of_cells(report.cells)
    assert sorted(zip(seen.epoch.tolist(), seen.bucket.tolist(), strict=True)) == [(-1, -1), (-1, 4), (7, -1)]
