"""Error rates of the gates for rates, on simulated releases with fixed seeds.

The chances of failing falsely are those of another seed, from the binomial spread around the measured figure.
"""

from __future__ import annotations

import numpy as np
import pytest

from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from tests.detectors.sequential.many import ALPHA, first_hits, rate_batches, share


@pytest.mark.parametrize(("n_b", "n_c"), [(95, 5), (50, 50), (19, 1)])
def test_healthy_releases_are_left_alone(n_b: int, n_c: int) -> None:
    """1,500 healthy releases of 600 blocks, 1 % errors: at most 5 % ever reach 1/α.

    Measured 3.1, 3.1 and 1.5 %; another seed would fail with a chance below 1 in 500.
    """
    hits = first_hits(Evalue2x2(), rate_batches(0.01, 0.01, n_b, n_c, 1500, seed=20), 600)
    assert share(hits) <= ALPHA


@pytest.mark.parametrize(("n_b", "n_c"), [(95, 5), (50, 50)])
def test_harm_within_the_tolerance_is_left_alone(n_b: int, n_c: int) -> None:
    """800 releases exactly at the tolerance (1 % against 1.125 %): at most 5 % ever reach 1/α.

    Measured 2.4 and 2.5 %; another seed would fail with a chance below 1 in 500.
    """
    gate = Evalue2x2(tolerance=0.00125)
    assert share(first_hits(gate, rate_batches(0.01, 0.01125, n_b, n_c, 800, seed=21), 600)) <= ALPHA


def test_a_wrong_prior_does_no_harm() -> None:
    """Baselines of 0.1 % and 20 % under a prior of 1 %: still at most 5 %, and 20 → 30 % is found.

    Measured 1.0 and 2.3 % false, and 100 % found; another seed would fail with a chance below 1 in 500.
    """
    for rate in (0.001, 0.2):
        assert share(first_hits(Evalue2x2(), rate_batches(rate, rate, 50, 50, 600, seed=22), 400)) <= ALPHA
    assert share(first_hits(Evalue2x2(), rate_batches(0.2, 0.3, 50, 50, 200, seed=23), 60)) > 0.95


@pytest.mark.parametrize(
    ("rate", "blocks", "limit"), [(0.02, 400, 1000), (0.05, 50, 110)], ids=["1 to 2 %", "1 to 5 %"]
)
def test_detection_at_five_percent_share(rate: float, blocks: int, limit: int) -> None:
    """Median canary requests until harm is shown, blocks of 95 and 5, tolerance 0, with the start-time mixture.

    Measured 930 and 90, and over 1,000 other releases 835 and 95; the medians of 600 releases spread by about 4 %, so
    another seed would fail with a chance below 1 in 50.
    """
    hits = first_hits(Evalue2x2(), rate_batches(0.01, rate, 95, 5, 600, seed=24), blocks)
    assert np.median(hits) * 5 <= limit


def test_a_late_onset_is_found_within_fifteen_blocks() -> None:
    """300 healthy blocks of 100 at 50 % share, then 1 → 5 %: median delay at most 15 blocks, early alarms at most 5 %.

    Measured 15 blocks and 2 %. The limit is nearly the theoretical one (12 at this error rate), and a whole number:
    another seed fails when its median is 16.
    """
    gate = Evalue2x2()
    healthy, broken = (rate_batches(0.01, p, 50, 50, 600, seed=25) for p in (0.01, 0.05))
    batches = (next(healthy if t < 300 else broken) for t in range(340))
    hits = first_hits(gate, batches, 340)
    assert (hits <= 300).mean() <= ALPHA
    assert np.median(hits[hits > 300] - 300) <= 15


@pytest.mark.parametrize(("n_b", "n_c"), [(95, 5), (25, 25)])
def test_a_canary_at_the_margin_does_not_pass(n_b: int, n_c: int) -> None:
    """1,000 canaries exactly one point worse: at most 5 % ever pass a margin of one point.

    Measured 3.9 %; another seed would fail with a chance of about 1 in 15, as the test is this sharp.
    """
    gate = Margin2x2(margins=(0.01,))
    assert share(first_hits(gate, rate_batches(0.01, 0.02, n_b, n_c, 1000, seed=26), 300)) <= ALPHA


def test_an_equal_canary_passes() -> None:
    """Equal at 1 % with a margin of one point, 50 % share: 95 % pass, the median after at most 1,500 requests.

    Measured 97 % and 1,175; another seed would fail with a chance below 1 in 100.
    """
    hits = first_hits(Margin2x2(margins=(0.01,)), rate_batches(0.01, 0.01, 25, 25, 600, seed=27), 200)
    assert share(hits) >= 0.95
    assert np.median(hits) * 25 <= 1500
