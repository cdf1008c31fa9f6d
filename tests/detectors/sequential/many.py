"""Many simulated releases at once: each is one segment of one state, so numpy runs them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from typing import Any

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue

ALPHA = 0.05
NEVER = 10**9

Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def rate_batches(p_b: float, p_c: float, n_b: int, n_c: int, releases: int, seed: int) -> Iterator[RateBatch]:
    """Endless blocks of independent requests, one for each release."""
    rng = np.random.default_rng(seed)
    rows, one = np.arange(1, releases + 1), np.ones(releases)
    while True:
        k_b, k_c = rng.binomial(n_b, p_b, releases), rng.binomial(n_c, p_c, releases)
        yield RateBatch(rows, one * n_b, k_b.astype(np.float64), one * n_c, k_c.astype(np.float64))


def moments_of(x: Floats, of: Flags) -> tuple[Floats, Floats, Floats]:
    """n, mean and m2 of the chosen values of each row."""
    n = of.sum(axis=1).astype(np.float64)
    mean = np.where(of, x, 0.0).sum(axis=1) / np.maximum(n, 1.0)
    return n, mean, np.where(of, (x - mean[:, None]) ** 2, 0.0).sum(axis=1)


def mean_batches(baseline: Draw, canary: Draw, n_b: int, n_c: int, releases: int, seed: int) -> Iterator[MeanBatch]:
    """Endless blocks of independent values, one for each release."""
    rng = np.random.default_rng(seed)
    rows = np.arange(1, releases + 1)
    while True:
        b, c = baseline(rng, (releases, n_b)), canary(rng, (releases, n_c))
        sides = [moments_of(x, np.ones(x.shape, dtype=np.bool_)) for x in (b, c)]
        yield MeanBatch(rows, *sides[0], *sides[1])


def first_hits(gate: Any, batches: Iterator[Any], blocks: int) -> Ints:
    """[releases] number of blocks until the gate's evidence reaches 1 / ALPHA, or NEVER."""
    state = gate.start()
    hits: Ints = np.zeros(0, dtype=np.int64)
    for t in range(1, blocks + 1):
        state = gate.observe(state, next(batches))
        if isinstance(gate, Evalue2x2 | MeanEvalue):
            evidence = gate.harm(state)[1:]
        else:
            assert isinstance(gate, Margin2x2 | MeanBound)
            evidence = gate.excluded(state)[1:, 0]
        if not hits.size:
            hits = np.full(evidence.size, NEVER)
        hits = np.where((hits == NEVER) & (evidence >= -log(ALPHA)), t, hits)
    return hits


def share(hits: Ints) -> float:
    """The share of releases in which it happened."""
    return float((hits < NEVER).mean())


def lognormal(sigma: float, times: float = 1.0) -> Draw:
    """Values with median ``times`` and a heavy right tail."""
    return lambda rng, shape: times * rng.lognormal(0.0, sigma, shape)


def normal(mean: float, sd: float) -> Draw:
    """Gaussian values."""
    return lambda rng, shape: rng.normal(mean, sd, shape)
