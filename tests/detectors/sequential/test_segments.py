"""Ten segments: a regression in one is found and named, harm everywhere is found, and it is quick."""

from __future__ import annotations

import time
from math import log
from typing import Any

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.batches import MeanBatch, RateBatch
from detectors.gaussian.online import OnlineGaussian, OnlineGaussianState
from detectors.protocol import FailGate, Observer, PassGate
from detectors.sequential.bounds import MeanBound, MeanBoundState
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from detectors.sequential.mean_evalue import MeanEvalue, MeanEvalueState
from tests.machine_speed import slowness

SEGMENTS = 10
ROWS = np.arange(1, SEGMENTS + 1)

RATE_FAIL: FailGate[Evalue2x2State, RateBatch] = Evalue2x2(tolerance=0.00125)
MEAN_FAIL: FailGate[MeanEvalueState, MeanBatch] = MeanEvalue(tolerance=0.025)
RATE_PASS: PassGate[Margin2x2State, RateBatch] = Margin2x2(margins=(0.005, 0.01, 0.02, 0.1, 0.5))
MEAN_PASS: PassGate[MeanBoundState, MeanBatch] = MeanBound(margins=(0.1, 0.2, 0.4, 2.0, 10.0))
OBSERVER: Observer[OnlineGaussianState] = OnlineGaussian()
"""That mypy accepts these lines is the test that every detector obeys its protocol."""


def block(rng: np.random.Generator, canary: Floats, *, n_b: int = 19, n_c: int = 1) -> RateBatch:
    k_b, k_c = rng.binomial(n_b, 0.01, SEGMENTS), rng.binomial(n_c, canary)
    one = np.ones(SEGMENTS)
    return RateBatch(ROWS, one * n_b, k_b.astype(np.float64), one * n_c, k_c.astype(np.float64))


def requests_to_fail(canary: Floats, seed: int) -> tuple[int, int]:
    """Canary requests of all segments until the gate reaches 1 in 20, and the row with the most evidence then."""
    gate, rng = Evalue2x2(), np.random.default_rng(seed)
    state = gate.start()
    for moment in range(1, 600):
        state = gate.observe(state, block(rng, canary))
        if gate.evidence(state) >= log(20):
            return moment * SEGMENTS, int(np.argmax(gate.harm(state)))
    return 10**9, 0


@pytest.mark.parametrize(
    ("broken", "rate", "limit"), [(ROWS, 0.02, 1300), (np.array([4]), 0.05, 2300)], ids=["total", "one of ten"]
)
def test_harm_is_found_wherever_it_is(broken: np.ndarray, rate: float, limit: int) -> None:
    """Blocks of 19 and 1 in ten segments: median canary requests for 1 → 2 % everywhere, and 1 → 5 % in one.

    Measured 1,065 and 1,785; the medians of 40 releases spread by about 10 %, so another seed would fail with a chance
    of about 1 in 50. The broken segment is the one that is named, in most releases.
    """
    canary = np.full(SEGMENTS, 0.01)
    canary[broken - 1] = rate
    found = [requests_to_fail(canary, seed) for seed in range(40)]
    assert np.median([requests for requests, _ in found]) <= limit
    if broken.size == 1:
        assert np.mean([row == 4 for _, row in found]) > 0.8


def test_five_gates_over_ten_segments_take_little_time() -> None:
    """One observation of five gates, ten segments and five margins: 0.9 ms where this was written, 2 ms is the aim.

    The test allows 6 ms, by the fastest of 30 rounds, for slow and busy machines.
    """
    rng = np.random.default_rng(50)
    rates = block(rng, np.full(SEGMENTS, 0.01), n_b=15, n_c=5)
    one = np.ones(SEGMENTS)
    means = MeanBatch(ROWS, n_b=15 * one, mean_b=one, m2_b=3 * one, n_c=5 * one, mean_c=1.1 * one, m2_c=one)
    gates: list[tuple[Any, Any]] = [(gate, rates) for gate in (RATE_FAIL, RATE_FAIL, RATE_PASS)]
    gates += [(gate, means) for gate in (MEAN_FAIL, MEAN_PASS)]
    states = [gate.start() for gate, _ in gates]
    fastest = np.inf
    for _ in range(30):
        start = time.perf_counter()
        states = [gate.observe(state, batch) for (gate, batch), state in zip(gates, states, strict=True)]
        fastest = min(fastest, time.perf_counter() - start)
    assert fastest < 0.006 * slowness()
