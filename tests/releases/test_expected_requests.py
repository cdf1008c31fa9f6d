"""Expected requests: close to what the detectors really take."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest

from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.unit_bound import UnitBound
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.unit_batches import BUCKETS, UnitBatch
from releases.budget import ALPHA_PASS
from releases.expected_requests import canary_requests
from schemas.units import PPM
from tests.releases.story import PLAN, plan_of

PLAN_OF_BOTH = plan_of(PLAN.replace("margin: 0.5%}]", "margin: 1%}, {name: latency_ms, margin: 20%}]"))
ERRORS, LATENCY = PLAN_OF_BOTH.gates
THRESHOLD = math.log(1 / ALPHA_PASS)
RELEASES, BLOCK, FACTOR = 60, 40, 1.5
CASES = [(500_000, PPM), (100_000, 500_000), (50_000, 100_000)]


@pytest.mark.parametrize(("weight_ppm", "for_share_ppm"), CASES)
def test_rates(weight_ppm: int, for_share_ppm: int) -> None:
    """By Wald's identity an average: within a factor of 1.5 of that of 60 seeded releases with an error rate of 1 %."""
    rng, share = np.random.default_rng(20261120), weight_ppm / PPM
    gate = Margin2x2(margins=(0.01 * PPM / for_share_ppm,))
    taken = []
    for _ in range(RELEASES):
        state, n = gate.start(), 0
        while gate.excluded(state)[0, 0] < THRESHOLD:
            n_c = int(rng.binomial(BLOCK, share))
            n_b = BLOCK - n_c
            arms = Rate(n_b, int(rng.binomial(n_b, 0.01))), Rate(n_c, int(rng.binomial(n_c, 0.01)))
            state, n = gate.observe(state, RateBatch.of([(1, *arms)])), n + n_c
        taken.append(n)
    _close(canary_requests(PLAN_OF_BOTH, ERRORS, weight_ppm=weight_ppm, for_share_ppm=for_share_ppm), fmean(taken))


@pytest.mark.parametrize(("weight_ppm", "for_share_ppm"), CASES)
def test_means(weight_ppm: int, for_share_ppm: int) -> None:
    """The same for the mean of an exponential metric, whose coefficient of variation is 1."""
    rng, share = np.random.default_rng(20261121), weight_ppm / PPM
    gate = MeanBound(margins=(min(0.99, 0.2 * PPM / for_share_ppm),))
    taken = []
    for _ in range(RELEASES):
        state, n = gate.start(), 0
        while gate.excluded(state)[0, 0] < THRESHOLD:
            n_c = int(rng.binomial(BLOCK, share))
            arms = _moments(rng.exponential(size=BLOCK - n_c)), _moments(rng.exponential(size=n_c))
            state, n = gate.observe(state, MeanBatch.of([(1, *arms)])), n + n_c
        taken.append(n)
    _close(canary_requests(PLAN_OF_BOTH, LATENCY, weight_ppm=weight_ppm, for_share_ppm=for_share_ppm), fmean(taken))


@pytest.mark.parametrize(("weight_ppm", "for_share_ppm"), CASES)
def test_units(weight_ppm: int, for_share_ppm: int) -> None:
    """The same by unit, where every request is of a unit of its own: what dependence makes larger is the least."""
    rng, share = np.random.default_rng(20261122), weight_ppm / PPM
    gate = UnitBound(margins=(0.01 * PPM / for_share_ppm,), relative=False)
    taken = []
    for _ in range(RELEASES // 2):
        state, n = gate.start(), 0
        while gate.excluded(state)[0, 0] < THRESHOLD:
            n_c = int(rng.binomial(2 * BLOCK, share))
            arms = [rng.multinomial(size, np.full(BUCKETS, 1 / BUCKETS), 1) for size in (2 * BLOCK - n_c, n_c)]
            bad = [rng.binomial(arm, 0.01) for arm in arms]
            (n_b, n_canary), (k_b, k_c) = ([one.astype(np.float64) for one in pair] for pair in (arms, bad))
            batch = UnitBatch.of_counts(np.array([1]), n_b=n_b, k_b=k_b, n_c=n_canary, k_c=k_c)
            state, n = gate.observe(state, batch), n + n_c
        taken.append(n)
    expected = canary_requests(PLAN_OF_BOTH, ERRORS, weight_ppm=weight_ppm, for_share_ppm=for_share_ppm, counts="unit")
    _close(expected, fmean(taken))


def test_more_traffic_asks_for_more() -> None:
    """The larger the share that is to be opened, the more requests it takes; promotion takes most."""
    for gate in PLAN_OF_BOTH.gates:
        asked = [
            canary_requests(PLAN_OF_BOTH, gate, weight_ppm=10_000, for_share_ppm=share)
            for share in (10_000, 50_000, 250_000, 500_000, PPM)
        ]
        assert asked == sorted(asked)
        assert asked[0] < asked[-1] / 5


def _moments(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Moments:
    if not values.size:
        return Moments()
    return Moments(values.size, float(values.mean()), float(((values - values.mean()) ** 2).sum()))


def _close(expected: float, measured: float) -> None:
    assert 1 / FACTOR < expected / measured < FACTOR, f"expected {expected:.0f}, measured {measured:.0f}"
