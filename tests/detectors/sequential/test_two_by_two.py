"""The 2×2 e-value is one: its mean is at most 1 at every point of the null, by enumerating every table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom

from detectors.arrays import Floats
from detectors.sequential.evalue_2x2 import RATIOS
from detectors.sequential.margin_2x2 import RATIOS as PASS_RATIOS
from detectors.sequential.two_by_two import Tables, log_ratio, nearest_null, odds_times

BLOCKS = [(1, 1), (19, 1), (5, 5), (20, 3), (1, 19)]
RATES = np.array([0.0005, 0.005, 0.01, 0.02, 0.05, 0.2, 0.5, 0.8, 0.97])

ROUNDING = 1e-11
"""Over a million blocks, days of a large service, such a mean each would be worth 0.001 % of the budget."""

some_rate = st.floats(0.0003, 0.97)


def means_of_e(n_b: int, n_c: int, theta: tuple[float, float], gap: float, null: tuple[Floats, Floats]) -> Floats:
    """[points] the exact mean of a block's e-value at each point (p_b, p_c) of the null."""
    k_b, k_c = (grid.ravel().astype(np.float64) for grid in np.mgrid[0 : n_b + 1, 0 : n_c + 1])
    full = np.ones_like(k_b)
    tables = Tables(k_b, full * n_b, k_c, full * n_c)
    e = np.exp(log_ratio(tables, full * theta[0], full * theta[1], np.array(gap)))
    p_b, p_c = (p[:, None] for p in null)
    mean: Floats = (binom.pmf(k_b, n_b, p_b) * binom.pmf(k_c, n_c, p_c) * e).sum(axis=1)
    return mean


@pytest.mark.parametrize(("n_b", "n_c"), BLOCKS)
@pytest.mark.parametrize("tolerance", [0.0, 0.00125, 0.01, 0.1])
def test_fail_is_an_e_value_on_its_null(n_b: int, n_c: int, tolerance: float) -> None:
    """FAIL: for p_c <= p_b + tolerance, on the edge and inside, the mean of E never exceeds 1."""
    edge = RATES[RATES + tolerance < 1]
    null = (
        np.concatenate([edge, RATES, RATES, RATES]),
        np.concatenate([edge + tolerance, RATES, 0.5 * RATES, np.full(RATES.size, 0.0004)]),
    )
    for theta_b in (0.001, 0.01, 0.3):
        for theta_c in odds_times(np.array([theta_b + tolerance]), np.array(RATIOS))[0]:
            mean = means_of_e(n_b, n_c, (theta_b, float(theta_c)), tolerance, null)
            assert mean.max() <= 1.0 + ROUNDING


@pytest.mark.parametrize(("n_b", "n_c"), BLOCKS)
@pytest.mark.parametrize("margin", [0.0025, 0.01, 0.1, 0.9])
def test_pass_is_an_e_value_on_its_null(n_b: int, n_c: int, margin: float) -> None:
    """PASS: for p_c >= p_b + margin, on the edge and beyond, the mean of E never exceeds 1."""
    edge = RATES[RATES + margin < 1]
    null = (
        np.concatenate([edge, edge, edge]),
        np.concatenate([edge + margin, np.minimum(edge + 2 * margin, 1.0), np.full(edge.size, 1.0)]),
    )
    for theta_b in (0.001, 0.01, 0.3):
        for theta_c in np.minimum(odds_times(np.array([theta_b]), np.array(PASS_RATIOS))[0], theta_b + margin):
            mean = means_of_e(n_b, n_c, (theta_b, float(theta_c)), margin, null)
            assert mean.max() <= 1.0 + ROUNDING


def test_beyond_the_null_the_mean_of_e_exceeds_one() -> None:
    """The e-value has power: at its own alternative its mean is above 1, and it could not be 1 everywhere."""
    alternative = (np.array([0.01]), np.array([0.05]))
    assert means_of_e(20, 20, (0.01, 0.05), 0.00125, alternative)[0] > 1.2
    assert means_of_e(20, 20, (0.05, 0.05), 0.1, (np.array([0.05]), np.array([0.05])))[0] > 1.05


@given(some_rate, some_rate, st.floats(1, 1000), st.floats(1, 1000), st.sampled_from([1e-6, 0.00125, 0.1, 0.5, 0.9]))
def test_the_nearest_null_is_the_root(theta_b: float, theta_c: float, n_b: float, n_c: float, gap: float) -> None:
    """Viète's formula with its polishing equals bracketing root search, near both ends too."""

    def slope(q: float) -> float:
        u = q + gap
        return n_b * ((1 - theta_b) / (1 - q) - theta_b / q) + n_c * ((1 - theta_c) / (1 - u) - theta_c / u)

    root = brentq(slope, 1e-13, (1.0 - gap) * (1.0 - 1e-13), xtol=1e-17, rtol=1e-14)
    numbers = [np.array([x]) for x in (theta_b, theta_c, n_b, n_c, gap)]
    found = float(nearest_null(*numbers)[0])
    assert found == pytest.approx(root, rel=1e-9)
    assert 1.0 - gap - found == pytest.approx(1.0 - gap - root, rel=1e-7)


@given(some_rate, st.floats(1, 100), st.floats(1, 100), st.floats(0.0, 0.9))
def test_an_alternative_on_the_edge_is_off(theta_b: float, n_b: float, n_c: float, gap: float) -> None:
    """Where the alternative lies on the null's edge every table has an e-value of 1."""
    if theta_b + gap >= 0.999:
        return
    one = np.ones(1)
    tables = Tables(0.3 * n_b * one, n_b * one, 0.8 * n_c * one, n_c * one)
    found = log_ratio(tables, theta_b * one, (theta_b + gap) * one, np.array(gap))
    assert float(found[0]) == pytest.approx(0.0, abs=1e-8)


def test_odds_stay_below_one() -> None:
    """Ten times the odds of 0.9 is 0.989, and of 0.01 nearly 0.1."""
    np.testing.assert_allclose(
        odds_times(np.array([0.9, 0.01]), np.array([10.0]))[:, 0], [90 / 91, 10 / 109], rtol=1e-12
    )
