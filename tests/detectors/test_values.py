"""The numbers of values.json, which other people's libraries produced, to 1e-9."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import betaln

from detectors.gaussian.hotelling import mahalanobis_sq, new_point_limit, oas, t2_one, t2_two
from detectors.gaussian.mewma import limit_for, run_length
from detectors.gaussian.online import OnlineGaussian
from detectors.gaussian.two_sample import two_proportions, welch
from detectors.sequential.normal_mixture import (
    best_rho,
    bound_one_sided,
    bound_two_sided,
    log_mixture_one_sided,
    log_mixture_two_sided,
)
from detectors.sequential.sample_ratio import SampleRatio
from detectors.sequential.two_by_two import Tables, log_ratio
from detectors.split_batches import SplitBatch
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.scatter import Scatter

VALUES: dict[str, Any] = json.loads((Path(__file__).parent / "values.json").read_text())
NEAR = 1e-9
R_DIGITS = 1e-5
"""The R reference prints seven digits and its authors compare to 1e-5."""

COVERED: set[str] = set()

_OTHER_BOUNDS = "only normal mixtures are used; this bound is for other kinds of sums"
_OTHER_SHRINKAGE = "OAS is used: its weight is a function of the scatter, so it goes with mergeable summaries"
_RAW_VALUES = "needs every value again; only summaries are kept"
NOT_COVERED = {
    "_meta": "says who made the numbers",
    "confseq/gamma_exponential_mixture_bound": _OTHER_BOUNDS,
    "confseq/gamma_poisson_mixture_bound": _OTHER_BOUNDS,
    "confseq/gamma_exponential_log_mixture": _OTHER_BOUNDS,
    "confseq/beta_binomial_log_mixture": _OTHER_BOUNDS,
    "confseq/bernoulli_confidence_interval": _OTHER_BOUNDS,
    "confseq/poly_stitching_bound": _OTHER_BOUNDS,
    "confseq/double_stitching_bound": _OTHER_BOUNDS,
    "confseq/empirical_process_lil_bound": _OTHER_BOUNDS,
    "confseq/quantile_ab_p_value": "tails are compared by exceedances, not by quantile bands",
    "bh_fdr_statsmodels": "p-values are not combined; e-values are averaged",
    "e_bh": "which segments are named is the judge's matter; evidence is averaged",
    "multivariate/ledoit_wolf": _OTHER_SHRINKAGE,
    "multivariate/mcd_rs0": _RAW_VALUES,
    **{
        f"confseq_R_reference_from_repo_tests/{name}": _OTHER_BOUNDS
        for name in VALUES["confseq_R_reference_from_repo_tests"]
        if name.startswith(("gamma", "beta", "poly", "empirical", "double", "quantile", "bernoulli"))
    },
    "online/skew": "no detector uses third moments",
    "online/kurt": "no detector uses fourth moments",
}

Test = Callable[..., None]


def covers(*entries: str) -> Callable[[Test], Test]:
    """Say which entries of values.json a test checks."""
    COVERED.update(entries)
    return lambda test: test


def entries_of(values: dict[str, Any]) -> Iterator[str]:
    """Names of all entries: group/fn for lists of calls, group/name for groups, group for the rest."""
    for group, content in values.items():
        if isinstance(content, list) and "fn" in content[0]:
            yield from (f"{group}/{call['fn']}" for call in content)
        elif isinstance(content, dict) and "cases" not in content and group in GROUPS:
            yield from (f"{group}/{name}" for name in content if name != "source")
        else:
            yield group


GROUPS = ("confseq_R_reference_from_repo_tests", "multivariate", "online")


def calls(function: str) -> list[dict[str, Any]]:
    return [call for call in VALUES["confseq"] if call["fn"] == function]


@covers("confseq/normal_mixture_bound")
def test_one_sided_bounds_equal_confseq() -> None:
    """The one-sided normal-mixture bound, and its tuning, over every v, alpha and v_opt there is."""
    cases = calls("normal_mixture_bound")
    assert len(cases) > 30
    for case in cases:
        rho = best_rho(case["v_opt"], case["alpha_opt"], one_sided=True)
        assert bound_one_sided(case["v"], case["alpha"], rho) == pytest.approx(case["value"], rel=NEAR)


@covers("confseq/normal_log_mixture")
def test_one_sided_mixtures_equal_confseq() -> None:
    """The log of the one-sided normal mixture, for negative, zero and large sums."""
    for case in calls("normal_log_mixture"):
        rho = best_rho(case["v_opt"], case["alpha_opt"], one_sided=True)
        found = float(log_mixture_one_sided(np.array(case["s"]), np.array(case["v"]), np.array(rho)))
        assert found == pytest.approx(case["value"], rel=NEAR)


@covers(
    *(
        f"confseq_R_reference_from_repo_tests/{name}"
        for name in (
            "TwoSidedNormalMixture.best_rho(100,.05)",
            "normal_log_mixture(10,100,two)",
            "normal_mixture_bound(100,two)",
            "normal_log_mixture(10,100,one)",
            "normal_mixture_bound(100,one)",
        )
    )
)
def test_normal_mixtures_equal_the_reference_in_r() -> None:
    """Two-sided and one-sided mixtures, bounds and tuning against the reference implementation in R."""
    reference = VALUES["confseq_R_reference_from_repo_tests"]
    s, v = np.array(10.0), np.array(100.0)
    two, one = best_rho(100.0, 0.05, one_sided=False), best_rho(100.0, 0.05, one_sided=True)
    found = {
        "TwoSidedNormalMixture.best_rho(100,.05)": two,
        "normal_log_mixture(10,100,two)": float(log_mixture_two_sided(s, v, np.array(two))),
        "normal_mixture_bound(100,two)": float(bound_two_sided(v, 0.05, np.array(two))),
        "normal_log_mixture(10,100,one)": float(log_mixture_one_sided(s, v, np.array(one))),
        "normal_mixture_bound(100,one)": bound_one_sided(100.0, 0.05, one),
    }
    for name, value in found.items():
        assert value == pytest.approx(reference[name], abs=R_DIGITS), name


@covers("asymp_cs")
def test_asymptotic_confidence_sequences_equal_confseq() -> None:
    """Half widths, two-sided and one-sided, and their tuning; the closed one-sided form is never tighter."""
    for case in VALUES["asymp_cs"]["cases"]:
        t, alpha = float(case["t"]), case["alpha"]
        two, one = (best_rho(case["t_star"], alpha, one_sided=side) for side in (False, True))
        assert 1.0 / two == pytest.approx(case["rho2"], rel=NEAR)
        assert 1.0 / one == pytest.approx(case["rho2_one_sided"], rel=NEAR)
        half = float(bound_two_sided(np.array(t), alpha, np.array(two))) / t
        assert half == pytest.approx(case["two_sided_halfwidth_sigma1"], rel=NEAR)
        exact = bound_one_sided(t, alpha, one) / t
        assert exact == pytest.approx(case["one_sided_exact_confseq"], rel=NEAR)
        rho2 = 1.0 / one
        closed = sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * log(1 + sqrt(t * rho2 + 1) / (2 * alpha)))
        assert closed == pytest.approx(case["one_sided_closed_form"], rel=NEAR)
        assert exact <= closed


@covers("msprt")
def test_the_two_sided_mixture_is_the_msprt() -> None:
    """With s = n d / √V, v = n and r = V / τ² the mixture is the mSPRT, which scipy integrated numerically."""
    for case in VALUES["msprt"]["cases"]:
        s = case["n"] * case["mean_diff"] / sqrt(case["V"])
        found = log_mixture_two_sided(np.array(s), np.array(case["n"]), np.array(case["V"] / case["tau2"]))
        assert exp(float(found)) == pytest.approx(case["Lambda"], rel=NEAR)
        assert min(1.0, exp(-float(found))) == pytest.approx(case["p"], rel=NEAR)


@covers("evalue_2x2")
def test_e_values_of_a_table_equal_the_closed_form() -> None:
    """One error in each arm, and one in the canary alone, for blocks of (1, 1) and (50, 50)."""
    for case in VALUES["evalue_2x2"]["cases"]:
        for k_b, name in ((1.0, "e_ya1_yb1"), (0.0, "e_ya0_yb1")):
            numbers = (k_b, float(case["na"]), 1.0, float(case["nb"]), case["ta"], case["tb"], 0.0)
            counts = [np.array([x]) for x in numbers]
            found = float(log_ratio(Tables(*counts[:4]), *counts[4:])[0])
            assert exp(found) == pytest.approx(case[name], rel=NEAR)


def log_bayes_factor(counts: list[int], asked: float, concentration: float) -> float:
    """The sample-ratio test's evidence, its ratios drawn from a Beta prior around the asked share.

    By the trapezoid rule over the log odds, ± 25 standard deviations around the posterior's mode.
    """
    n, k = float(sum(counts)), float(counts[1])
    alpha, beta = concentration * asked, concentration * (1.0 - asked)
    spread = sqrt(1.0 / (alpha + k) + 1.0 / (beta + n - k))
    odds = log((alpha + k) / (beta + n - k)) + spread * np.linspace(-25.0, 25.0, 4_001)
    test = SampleRatio(canaries=("v2",), ratios=tuple(np.exp(odds) * (1.0 - asked) / asked))
    state = test.observe(test.start(), SplitBatch(np.array([n]), np.array([[k]]), np.array([[asked]])))
    prior = alpha * odds - concentration * np.logaddexp(0.0, odds) - betaln(alpha, beta)
    return float(np.logaddexp.reduce(state.log_e[0] + prior)) + log(odds[1] - odds[0])


@covers("srm", "savvi_multinomial")
def test_sample_ratios_equal_scipy_and_savvi() -> None:
    """With a Beta prior on the ratio in place of the grid, the test is the Dirichlet-multinomial Bayes factor.

    The case of three versions at once has no counterpart, as each canary is tested against the rest; nor has the
    fixed-sample chi-squared beside it.
    """
    checked = 0
    for case in VALUES["srm"]["cases"]:
        for concentration in (1, 2, 100, 10_000) if len(case["counts"]) == 2 else ():
            expected = case[f"log_bf_dirichlet_conc{concentration}"]
            found = log_bayes_factor(case["counts"], case["probs"][1], float(concentration))
            assert found == pytest.approx(expected, rel=NEAR)
            checked += 1
    for case in VALUES["savvi_multinomial"]["cases"]:
        found = log_bayes_factor(case["counts"], case["theta0"][1], float(case["k"]))
        assert found == pytest.approx(case["log_bf10_scipy"], rel=NEAR)
        assert found == pytest.approx(case["log_odds_savvi"], rel=NEAR)
        checked += 1
    assert checked == 10


@covers("online/series", "online/mean", "online/var1", "online/chunks", "online/ill_conditioned")
def test_moments_equal_numpy() -> None:
    """Mean and variance of the whole series, merged from chunks, and of values of 1e8 with a variance of 0.09."""
    online = VALUES["online"]
    chunks = [Moments(chunk["n"], chunk["mean"], chunk["M2"]) for chunk in online["chunks"]]
    for moments in (Moments.of(np.array(online["series"])), Moments.merge_all(chunks)):
        assert moments.mean == pytest.approx(online["mean"], rel=NEAR)
        assert moments.variance == pytest.approx(online["var1"], rel=NEAR)
    ill = online["ill_conditioned"]
    assert Moments.of(np.array(ill["series"])).variance == pytest.approx(ill["var1"], rel=NEAR)


@covers("online/ewma_alpha0_1_adjustFalse_mean", "online/ewma_alpha0_1_adjustFalse_var_bias")
def test_the_exponentially_weighted_gaussian_equals_pandas() -> None:
    """Mean and variance after each value equal ewm(adjust=False); the Welford variant equals numpy at the end."""
    online = VALUES["online"]
    weighted, plain = OnlineGaussian(forgetting=0.1), OnlineGaussian()
    state, other = weighted.start(), plain.start()
    for i, x in enumerate(online["series"]):
        state, other = weighted.learn(state, x), plain.learn(other, x)
        assert state.mean == pytest.approx(online["ewma_alpha0_1_adjustFalse_mean"][i], rel=NEAR)
        assert state.variance == pytest.approx(online["ewma_alpha0_1_adjustFalse_var_bias"][i], rel=NEAR)
    assert other.mean == pytest.approx(online["mean"], rel=NEAR)
    assert other.variance == pytest.approx(online["var1"], rel=NEAR)


@covers("online/cov_chunks", "multivariate/X", "multivariate/cov_ddof1", "multivariate/empirical")
def test_scatters_equal_numpy_and_scikit_learn() -> None:
    """Covariances of the whole, and merged from chunks."""
    multivariate, chunks = VALUES["multivariate"], VALUES["online"]["cov_chunks"]
    whole = Scatter.of(np.array(multivariate["X"]))
    parts = [
        Scatter(chunk["n"], np.array(chunk["mean"]), np.array(chunk["S"])) for chunk in (chunks["X1"], chunks["X2"])
    ]
    for scatter in (whole, parts[0].merge(parts[1])):
        assert scatter.covariance is not None
        np.testing.assert_allclose(scatter.covariance, multivariate["cov_ddof1"], rtol=NEAR)
        np.testing.assert_allclose(scatter.mean, multivariate["empirical"]["location"], rtol=NEAR)
        np.testing.assert_allclose(scatter.s / scatter.n, multivariate["empirical"]["cov"], rtol=NEAR)


@covers("two_sample")
def test_welch_equals_scipy() -> None:
    """The statistic and its two-sided p-value; ranks (Mann and Whitney) have no detector and are not covered."""
    reference = VALUES["two_sample"]
    found = welch(Moments.of(np.array(reference["x"])), Moments.of(np.array(reference["y"])))
    assert found is not None
    assert found.statistic == pytest.approx(reference["welch_two-sided"]["statistic"], rel=NEAR)
    assert found.p == pytest.approx(reference["welch_two-sided"]["pvalue"], rel=NEAR)


@covers("proportions")
def test_two_proportions_equal_statsmodels() -> None:
    """The pooled z and its p-value; the fixed-sample intervals beside it have no detector and are not covered."""
    cases = VALUES["proportions"]
    checked = 0
    for case in cases["cases"] if isinstance(cases, dict) else cases:
        found = two_proportions(Rate(case["n2"], case["k2"]), Rate(case["n1"], case["k1"]))
        if found is not None:
            assert abs(found.statistic) == pytest.approx(abs(case["z"]), rel=NEAR, abs=1e-12)
            assert found.p == pytest.approx(case["p"], rel=NEAR)
            checked += 1
    assert checked >= 2


@covers(
    *(f"multivariate/{name}" for name in ("Y", "pingouin_one", "pingouin_two", "statsmodels_one", "statsmodels_two"))
)
def test_hotelling_equals_pingouin_and_statsmodels() -> None:
    """T², F, degrees of freedom and p of one sample against zero, and of two samples."""
    values = VALUES["multivariate"]
    x, y = (Scatter.of(np.array(values[name])) for name in "XY")
    for found, kind in ((t2_one(x, np.zeros(3)), "one"), (t2_two(x, y), "two")):
        ours, theirs = values[f"pingouin_{kind}"], values[f"statsmodels_{kind}"]
        assert (found.df1, found.df2) == (ours["df1"], ours["df2"])
        assert [found.t2, found.f, found.p] == pytest.approx([ours["T2"], ours["F"], ours["pval"]], rel=NEAR)
        assert [found.t2, found.f, found.p] == pytest.approx([theirs["T2"], theirs["F"], theirs["p"]], rel=NEAR)


@covers("multivariate/oas", "multivariate/query")
def test_shrinkage_and_distances_equal_scikit_learn() -> None:
    """The shrunk covariance, its weight, and the distances of three points, plain and shrunk."""
    values = VALUES["multivariate"]
    scatter, query = Scatter.of(np.array(values["X"])), np.array(values["query"])
    covariance, weight = oas(scatter)
    assert weight == pytest.approx(values["oas"]["shrinkage"], rel=NEAR)
    np.testing.assert_allclose(covariance, values["oas"]["cov"], rtol=NEAR)
    for name, matrix in (("oas", covariance), ("empirical", scatter.s / scatter.n)):
        found = mahalanobis_sq(query, scatter.mean, matrix)
        np.testing.assert_allclose(found, values[name]["mahalanobis_sq"], rtol=NEAR)


@covers("multivariate/hotelling_phase2_ucl(m=30,p=3)", "multivariate/chi2_isf")
def test_limits_equal_scipy() -> None:
    """The F limit for a new point after 30; with very many learned vectors it is the chi-squared limit."""
    values = VALUES["multivariate"]
    for alpha, limit in values["hotelling_phase2_ucl(m=30,p=3)"].items():
        assert new_point_limit(30, 3, float(alpha)) == pytest.approx(limit, rel=NEAR)
    for name, limit in values["chi2_isf"].items():
        p, alpha = (part.split("=")[1] for part in name.split(","))
        assert new_point_limit(10**7, int(p), float(alpha)) == pytest.approx(limit, rel=1e-4)


@covers("mewma_arl_table")
def test_run_lengths_of_mewma() -> None:
    """By the Markov chain: within 5 % of what was simulated at the limits of the books, which it gives back."""
    table = VALUES["mewma_arl_table"]
    for p, limit, simulated in ((2, 8.64, table["p2_lam0_1_h8_64"]), (4, 12.73, table["p4_lam0_1_h12_73"])):
        assert run_length(limit, p, 0.1) == pytest.approx(simulated, rel=0.05)
        assert limit_for(200.0, p, 0.1) == pytest.approx(limit, rel=0.01)


def test_every_entry_is_covered_or_has_a_reason() -> None:
    """No oracle number is forgotten: each entry is checked above or says why not, and none does both."""
    everything = set(entries_of(VALUES))
    assert everything - COVERED - NOT_COVERED.keys() == set()
    assert COVERED | NOT_COVERED.keys() <= everything
    assert COVERED & NOT_COVERED.keys() == set()
