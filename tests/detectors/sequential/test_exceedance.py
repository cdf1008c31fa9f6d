"""Quantile gates: what they count, what they exclude at a step, and their error rates on simulated releases."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
import pytest
from scipy.stats import binom

from detectors.arrays import Floats
from detectors.histogram_batches import HistogramBatch
from detectors.sequential.exceedance import Exceedance, ExceedanceState
from detectors.sequential.step_margin import Exceedances, advance_step, excluded_step, gap_of, start_step
from detectors.summaries.log_histogram import LogHistogram

ALPHA = 0.05
SIGMA = 0.5
P99 = float(np.exp(2.3263478740408408 * SIGMA))
P95 = float(np.exp(1.6448536269514722 * SIGMA))

Draw = Callable[[np.random.Generator, int], Floats]


def scaled(times: float) -> Draw:
    return lambda rng, n: times * rng.lognormal(0.0, SIGMA, n)


def tail(times: float) -> Draw:
    """The slowest twentieth takes ``times`` as long."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        x = rng.lognormal(0.0, SIGMA, n)
        return np.where(x > P95, times * x, x)

    return draw


def learned(gate: Exceedance, rng: np.random.Generator) -> ExceedanceState:
    """The gate with a threshold from 6,000 requests of the baseline."""
    values = LogHistogram.of(rng.lognormal(0.0, SIGMA, 6000))
    return gate.observe(gate.start(), HistogramBatch.of([(1, values, LogHistogram.empty())], ended_ms=0))


def blocks_until(
    gate: Exceedance, canary: Draw, sizes: tuple[int, int], blocks: int, seed: int, *, passes: bool
) -> int:
    """Blocks of one release until FAIL or PASS, or a number beyond ``blocks``; one block every two seconds."""
    rng = np.random.default_rng(seed)
    state = learned(gate, rng)
    for t in range(1, blocks + 1):
        arms = LogHistogram.of(rng.lognormal(0.0, SIGMA, sizes[0])), LogHistogram.of(canary(rng, sizes[1]))
        state = gate.observe(state, HistogramBatch.of([(1, *arms)], ended_ms=2_000 * t))
        said = gate.excluded(state)[0, -1] if passes else gate.evidence(state)
        if said >= -log(ALPHA):
            return t
    return blocks + 1


def test_counts_are_those_of_the_values() -> None:
    """Above the threshold, in the tolerance's and the margin's sense, exactly, whichever way is worse."""
    rng = np.random.default_rng(40)
    for worse in ("higher", "lower"):
        gate = Exceedance(level=0.9, tolerance=0.1, margin=0.2, worse="higher" if worse == "higher" else "lower")
        state = learned(gate, rng)
        q = gate.threshold(state)
        assert q is not None
        b, c = rng.lognormal(0.0, SIGMA, 500), rng.lognormal(0.0, SIGMA, 300)
        arms = LogHistogram.of(b), LogHistogram.of(c)
        after = gate.observe(state, HistogramBatch.of([(1, *arms)], ended_ms=250))
        row = gate.estimate(after, 1)
        for found, x in ((row.baseline, b), (row.canary, c)):
            beyond = x > q if worse == "higher" else x <= q
            assert found == pytest.approx(beyond.mean(), abs=1e-12)


def test_a_threshold_is_used_for_later_blocks_only() -> None:
    """The block that first makes a threshold possible is not compared with it, and is said to have come."""
    gate = Exceedance(level=0.9, tolerance=0.0, margin=0.2)
    values = LogHistogram.of(np.random.default_rng(41).lognormal(0.0, SIGMA, 600))
    state = gate.observe(gate.start(), HistogramBatch.of([(1, values, values)], ended_ms=250))
    assert gate.threshold(state) is not None
    assert gate.estimate(state, 0).n_canary == 0
    early = gate.observe(gate.start(), HistogramBatch.of([(1, LogHistogram.of(np.ones(9)), values)], ended_ms=250))
    assert (gate.estimate(early, 0).n_baseline, gate.estimate(early, 0).n_canary) == (9, 600)
    assert gate.estimate(early, 0).canary is None


@pytest.mark.parametrize("gap", [0.0, 0.2])
@pytest.mark.parametrize(("n_b", "n_c"), [(19, 1), (4, 4)])
def test_the_mean_of_e_is_at_most_one(n_b: int, n_c: int, gap: float) -> None:
    """Exact enumeration of every table at the null's edge: the mean of PASS's e-value never exceeds 1."""
    tables = np.array([(b, c) for b in range(n_b + 1) for c in range(n_c + 1)], dtype=np.float64)
    one = np.ones(len(tables))
    seen = Exceedances(
        np.arange(1, len(tables) + 1), n_b * one, n_c * one, tables[:, 0], 0 * one, tables[:, 1], np.array([gap])
    )
    e = np.exp(excluded_step(advance_step(start_step(1), seen, prior_rate=0.05))[1:, 0])
    for p in (0.001, 0.01, 0.05, 0.3, 0.7):
        chance = binom.pmf(tables[:, 0], n_b, p) * binom.pmf(tables[:, 1], n_c, p + gap)
        assert float(chance @ e) <= 1.0 + 1e-12


def test_at_a_step_the_tail_of_all_users_counts() -> None:
    """At 5 % share the canary may have τ + 19 (τ - η), less two standard errors; for everybody τ itself."""
    assert gap_of(0.05, 0.006, 1e9) == pytest.approx(19 * 0.006, rel=1e-3)
    assert gap_of(0.05, 0.006, 5000.0) < 19 * 0.006
    assert gap_of(1.0, 0.006, 5000.0) == 0.0
    assert gap_of(0.001, 0.5, 1e9) < 1.0


def test_margin_over_share_would_be_unsound() -> None:
    """A canary with 30 % of its requests at 3.9 q puts all users' p99 at 3.9 q: it never passes, not even for 5 %."""

    def bad(rng: np.random.Generator, n: int) -> Floats:
        return np.where(rng.random(n) < 0.3, 3.9 * P99, rng.lognormal(0.0, SIGMA, n))

    gate = Exceedance(level=0.99, tolerance=0.0375, margin=0.15, shares=(0.05,))
    assert all(blocks_until(gate, bad, (95, 5), 150, seed, passes=True) > 150 for seed in range(3))
    assert all(blocks_until(gate, scaled(1.0), (95, 5), 150, seed, passes=True) <= 150 for seed in range(3))


@pytest.mark.parametrize(("n_b", "n_c"), [(95, 5), (50, 50)], ids=["5 %", "50 %"])
def test_a_canary_at_the_margin_does_not_pass(n_b: int, n_c: int) -> None:
    """1,000 canaries whose p99 is exactly the margin worse, 300 blocks: at most 5 % ever pass.

    Only the two shares beyond the edges matter, so counts are drawn. Measured 3.3 and 3.4 %; another seed would
    fail with a chance below 1 in 50.
    """
    rng, releases = np.random.default_rng(42), 1000
    rows, one = np.arange(1, releases + 1), np.ones(releases)
    state, passed = start_step(1), np.zeros(releases, dtype=np.bool_)
    for _ in range(300):
        k_b, far_b = rng.binomial(n_b, 0.01, releases), rng.binomial(n_b, 0.004, releases)
        far_c = rng.binomial(n_c, 0.01, releases)
        counts = (n_b * one, n_c * one, k_b * one, far_b * one, far_c * one)
        state = advance_step(state, Exceedances(rows, *counts, np.zeros(1)), prior_rate=0.01)
        passed |= excluded_step(state)[1:, 0] >= -log(ALPHA)
    assert passed.mean() <= ALPHA


def test_a_healthy_canary_at_drifting_latency_is_left_alone() -> None:
    """Latency of both doubles for good: of 30 releases of 200 blocks, tolerance 0, at most 4 fail.

    Measured 1; at an error rate of 5 % another seed would fail with a chance of 1 in 60.
    """
    gate, failed = Exceedance(level=0.95, tolerance=0.0, margin=0.15), 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        state = learned(gate, rng)
        for t in range(1, 201):
            times = 1.0 + (t > 100)
            b, c = (LogHistogram.of(times * rng.lognormal(0.0, SIGMA, n)) for n in (40, 40))
            state = gate.observe(state, HistogramBatch.of([(1, b, c)], ended_ms=2_000 * t))
            if gate.evidence(state) >= -log(ALPHA):
                failed += 1
                break
    assert failed <= 4


def test_detection_at_five_percent_share() -> None:
    """p99, the slowest twentieth takes twice as long: median of 200 releases at most 120 canary requests after the
    threshold is known.

    Measured 115, 105 over 300 releases; the median spreads by about 7 %, so another seed would fail with a chance of
    1 in 15.
    """
    gate = Exceedance(level=0.99, tolerance=0.0, margin=0.15)
    taken = [blocks_until(gate, tail(2.0), (95, 5), 150, seed, passes=False) for seed in range(200)]
    assert np.median(taken) * 5 <= 120


def test_an_equal_canary_passes() -> None:
    """An equal p95 with a margin of 15 % at 50 % share: all of 20 pass, the median after at most 1,500 requests.

    Measured 1,050; another seed would fail with a chance below 1 in 100.
    """
    gate = Exceedance(level=0.95, tolerance=0.0375, margin=0.15)
    taken = [blocks_until(gate, scaled(1.0), (50, 50), 200, seed, passes=True) for seed in range(20)]
    assert max(taken) <= 200
    assert np.median(taken) * 50 <= 1500


def test_a_restart_forgets_recent_evidence_only() -> None:
    """Since the last step nothing is known, while the evidence of all data and the baseline's past stay."""
    gate = Exceedance(level=0.9, tolerance=0.0, margin=0.5)
    rng = np.random.default_rng(43)
    state = learned(gate, rng)
    for t in range(1, 6):
        b, c = (LogHistogram.of(rng.lognormal(0.0, SIGMA, 50)) for _ in range(2))
        state = gate.observe(state, HistogramBatch.of([(1, b, c)], ended_ms=250 * t))
    fresh = gate.restart(state)
    assert gate.excluded(fresh, recent=True).tolist() == [[0.0], [0.0]]
    assert gate.excluded(fresh).tolist() == gate.excluded(state).tolist()
    assert gate.excluded(state)[0, 0] > 0.5
    assert fresh.step.near is state.step.near
