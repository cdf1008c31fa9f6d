"""Beats of requests of sticky users, as summaries that carry their units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.summaries.bucket_counts import BucketCounts
from detectors.summaries.by_unit import ByUnit, UnitMeasure
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import bin_of
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from schemas.unit_hash import UNIT_BUCKETS


class Bad(NamedTuple):
    """The canary's latency relative to the baseline's, its error rate and its share of long answers."""

    times: float = 1.0
    failing: float = 0.01
    lengthy: float = 0.1


HEALTHY = Bad()


class Visitors:
    """Users who come back; fixed seed.

    Parameters
    ----------
    users : how many; each request comes from one of them at random.
    share : of the canary.
    correlation : of a user's latencies with each other; half as much of errors and labels.
    carried : part of the requests that carry a unit.
    """

    def __init__(
        self, seed: int, *, users: int = 2_000, share: float = 0.5, correlation: float = 0.3, carried: float = 1.0
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.habit = self.rng.normal(0.0, correlation**0.5, users)
        self.luck = self.rng.random(users)
        self.canary = self.rng.random(users) < share
        self.bucket = self.rng.integers(0, UNIT_BUCKETS, users)
        self.hash = self.rng.integers(0, 2**63, users).astype(np.uint64) * np.uint64(2)
        self.correlation, self.carried, self.beat = correlation, carried, 0

    def draw(self, bad: Bad = HEALTHY, *, n: int = 100) -> tuple[dict[tuple[str, str], Summary], UnitsSeen]:
        """One beat."""
        self.beat += 1
        who = self.rng.integers(0, self.habit.size, n)
        named = self.rng.random(n) < self.carried
        arms = {}
        for version, chosen in (("v1", ~self.canary[who]), ("v2", self.canary[who])):
            if chosen.any():
                arms[version, ""] = self._arm(who[chosen], named[chosen], bad if version == "v2" else HEALTHY)
        return arms, self._seen(who[named])

    def _arm(self, who: Ints, named: Flags, bad: Bad) -> Summary:
        own = self.rng.normal(0.0, (1.0 - self.correlation) ** 0.5, who.size)
        latency_ms = 180.0 * np.exp(0.5 * (self.habit[who] + own)) * bad.times
        luck = np.where(self.rng.random(who.size) < self.correlation**0.5, self.luck[who], self.rng.random(who.size))
        failed, long = luck < bad.failing, luck > 1.0 - bad.lengthy
        counts = {name: int(count) for name, count in (("long", long.sum()), ("stop", (~long).sum())) if count}
        return Summary(
            Rate(who.size, int(failed.sum())),
            {"latency_ms": Measure.of(latency_ms)},
            {"finish_reason": Counts(counts)},
            self._units(self.bucket[who][named], failed[named], latency_ms[named], long[named]),
        )

    def _units(self, bucket: Ints, failed: Flags, latency_ms: Floats, long: Flags) -> ByUnit | None:
        if not bucket.size:
            return None
        pairs = BucketCounts.of(bin_of(latency_ms).astype(np.int64), bucket)
        sums = np.bincount(bucket, weights=latency_ms, minlength=UNIT_BUCKETS).astype(np.float64)[pairs.buckets]
        labels = {
            name: BucketCounts.of(np.zeros(int(of.sum()), dtype=np.int64), bucket[of])
            for name, of in (("long", long), ("stop", ~long))
            if of.any()
        }
        measure = UnitMeasure(pairs, sums, Moments.of(latency_ms).m2)
        return ByUnit(
            BucketCounts.of(failed.astype(np.int64), bucket), {"latency_ms": measure}, {"finish_reason": labels}
        )

    def _seen(self, who: Ints) -> UnitsSeen:
        found, first = np.unique(self.hash[who], return_index=True)
        unknown = np.full(found.size, -1, dtype=np.int64)
        versions = tuple("v2" if self.canary[user] else "v1" for user in who[first].tolist())
        return UnitsSeen(found, versions, ("",) * found.size, unknown, unknown)
