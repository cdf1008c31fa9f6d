"""Copies of requests: the same request is in both arms, which the gates take for two independent ones.

That makes the arms more alike than they are thought to be. Here a copy answers exactly as its original did, the
strongest dependence there is, and both error rates keep what they promise. Chances of failing falsely: of other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from tests.detectors.sequential.many import ALPHA, first_hits, moments_of, rate_batches, share

COPIED = pytest.mark.parametrize("copied", [20, 100], ids=["20 %", "all"])


def copied_rates(errors: float, more: float, copied: int, releases: int, seed: int) -> Iterator[RateBatch]:
    """Blocks of 100 requests; a copy errs where its original did, and in ``more`` of the others."""
    rng = np.random.default_rng(seed)
    rows, n_b, n_c = np.arange(1, releases + 1), np.full(releases, 100.0), np.full(releases, float(copied))
    while True:
        original = rng.random((releases, 100)) < errors
        copy = original[:, :copied] | (rng.random((releases, copied)) < more)
        yield RateBatch(rows, n_b, original.sum(1).astype(np.float64), n_c, copy.sum(1).astype(np.float64))


def copied_means(times: float, copied: int, releases: int, seed: int) -> Iterator[MeanBatch]:
    """Blocks of 50 lognormal values; a copy takes ``times`` as long as its original."""
    rng = np.random.default_rng(seed)
    rows = np.arange(1, releases + 1)
    while True:
        original = rng.lognormal(0.0, 0.5, (releases, 50))
        copy = times * original[:, : copied // 2]
        sides = [moments_of(x, np.ones(x.shape, dtype=np.bool_)) for x in (original, copy)]
        yield MeanBatch(rows, *sides[0], *sides[1])


@COPIED
def test_healthy_copies_are_left_alone(copied: int) -> None:
    """800 releases of 400 blocks by errors and 400 of 300 by means: at most 5 % ever reach 1/α.

    Measured 0.1 and 0.3 % at 20 %, none where all is copied; another seed would fail with a chance below 1 in 1,000.
    """
    rates = first_hits(Evalue2x2(), copied_rates(0.01, 0.0, copied, 800, seed=70), 400)
    means = first_hits(MeanEvalue(), copied_means(1.0, copied, 400, seed=71), 300)
    assert share(rates) <= ALPHA
    assert share(means) <= ALPHA


@COPIED
def test_copies_at_the_margin_do_not_pass(copied: int) -> None:
    """Canaries exactly at the margin: at most 5 % ever pass.

    Measured 2.5 and 0.5 % at 20 %, none where all is copied; another seed would fail with a chance below 1 in 100.
    """
    rates = first_hits(Margin2x2(margins=(0.01,)), copied_rates(0.01, 0.01 / 0.99, copied, 600, seed=72), 400)
    means = first_hits(MeanBound(margins=(0.1,)), copied_means(1.1, copied, 400, seed=73), 300)
    assert share(rates) <= ALPHA
    assert share(means) <= ALPHA


def test_harm_in_copies_is_found_a_little_later() -> None:
    """1 → 5 % at 20 %: at most half as many blocks again as with requests of its own.

    Measured 7 and 7 blocks; another seed would fail with a chance below 1 in 100.
    """
    copies = first_hits(Evalue2x2(), copied_rates(0.01, 0.04 / 0.99, 20, 400, seed=74), 100)
    others = first_hits(Evalue2x2(), rate_batches(0.01, 0.05, 100, 20, 400, seed=75), 100)
    assert np.median(copies) <= 1.5 * np.median(others)
