"""Beats whose requests carry units: what an evaluation is given where users are counted."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.summaries.bucket_counts import BucketCounts
from detectors.summaries.by_unit import ByUnit, UnitMeasure
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import bin_of
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.unit_hash import UNIT_BUCKETS

Beat = dict[tuple[str, str], Summary]


def unit_beats(segments: int, count: int, values: int = 2) -> list[Beat]:
    """Beats with a hundred requests of different users in each segment, five of them of the canary; fixed seed.

    A tenth of the answers have another value of the label than the first, each of ``values - 1`` as often.
    """
    rng = np.random.default_rng(1)
    arms = (("v1", 95), ("v2", 5))
    return [
        {(version, f"s{index}"): _arm(rng, n, values) for index in range(segments) for version, n in arms}
        for _ in range(count)
    ]


def _arm(rng: np.random.Generator, n: int, number: int) -> Summary:
    bucket = rng.integers(0, UNIT_BUCKETS, n)
    failed, cut = (rng.random(n) < 0.01).astype(np.int64), rng.random(n) < 0.1
    values = {"latency_ms": rng.lognormal(5.0, 0.5, n), "values.tokens_out": rng.lognormal(5.0, 0.5, n)}
    # Ingest keeps bins by bucket for the metrics of which a quantile is judged.
    bins = {"latency_ms": bin_of(values["latency_ms"]).astype(np.int64), "values.tokens_out": np.zeros_like(bucket)}
    value = np.where(cut, np.arange(n) % (number - 1) + 1, 0)
    labels = {f"value-{which}": value == which for which in np.unique(value).tolist()}
    return Summary(
        Rate(n, int(failed.sum())),
        {name: Measure.of(found) for name, found in values.items()},
        {"finish_reason": Counts({name: int(chosen.sum()) for name, chosen in labels.items()})},
        ByUnit(
            BucketCounts.of(failed, bucket),
            {name: _measure(values[name], bins[name], bucket) for name in values},
            {"finish_reason": {name: BucketCounts.of(0 * bucket[at], bucket[at]) for name, at in labels.items()}},
        ),
    )


def _measure(values: Floats, bins: Ints, bucket: Ints) -> UnitMeasure:
    pairs = BucketCounts.of(bins, bucket)
    sums = np.zeros(UNIT_BUCKETS)
    np.add.at(sums, bucket, values)
    return UnitMeasure(pairs, sums[pairs.buckets], Moments.of(values).m2)
