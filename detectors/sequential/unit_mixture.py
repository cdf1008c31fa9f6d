"""What the gates on units share: the baseline's spread when evidence begins, and the mixture that sums are worth."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, constant
from detectors.rows import height_of, placed
from detectors.sequential.normal_mixture import best_rho, log_mixture_one_sided, tuned_time
from detectors.sequential.past import PRIOR_REQUESTS, Past, grown, learn, spread, start_past
from detectors.sequential.past_rate import learn_rates
from detectors.unit_batches import BUCKETS, UnitBatch, UnitTotals

_CV_MIN: Final = 1e-9
_TUNED_ALPHA: Final = 0.05


class Known(msgspec.Struct, frozen=True, eq=False):
    """The baseline, by row.

    Parameters
    ----------
    past : of the baseline.
    mean, sd : [R] of the past when the row got its first evidence, NaN before: they tune the row's mixtures.
    phi, phi_sq : [R, K] and [R] how values of a bucket go together (:class:`detectors.sequential.clustered.Gain`).
    """

    past: Past
    mean: Floats
    sd: Floats
    phi: Floats
    phi_sq: Floats


def start_known() -> Known:
    """Nothing known; one row, the total."""
    return Known(start_past(), np.full(1, np.nan), np.full(1, np.nan), np.zeros((1, BUCKETS)), np.zeros(1))


def learned(known: Known, batch: UnitBatch, totals: UnitTotals, prior_rate: float | None) -> tuple[Known, Flags]:
    """With a batch of blocks in the past, and which of the blocks are evidence: both arms, and a spread known before.

    Parameters
    ----------
    known : is not changed.
    batch, totals : at least one block.
    prior_rate : for zeros and ones the rate expected before anything was seen; None for other values.
    """
    rows, stride, height = batch.rows, batch.stride, height_of(batch.rows)
    n_b, sum_b = totals.n_b, totals.sum_b
    if prior_rate is None:
        mean, sd = spread(known.past, height)
        ready: Flags = totals.paired & ~np.isnan(sd[rows])
        past = learn(known.past, rows, n=n_b, mean=sum_b / np.maximum(n_b, 1.0), m2=batch.m2_b, stride=stride)
    else:
        mean = grown(rates_of(known.past, prior_rate), height, prior_rate)
        sd = np.sqrt(np.maximum(mean * (1.0 - mean), 0.0))
        ready, past = totals.paired, learn_rates(known.past, rows, n=n_b, k=sum_b, stride=stride)
    fixed_mean, fixed_sd = grown(known.mean, height, np.nan), grown(known.sd, height, np.nan)
    unknown = np.isnan(fixed_mean)
    if unknown.any() and ready.any():
        where = placed(rows[ready], stride).where
        first = where[unknown[where]]
        fixed_mean, fixed_sd = fixed_mean.copy(), fixed_sd.copy()
        fixed_mean[first], fixed_sd[first] = mean[first], sd[first]
    return Known(past, fixed_mean, fixed_sd, grown(known.phi, height, 0.0), grown(known.phi_sq, height, 0.0)), ready


def totals_of(known: Known, stride: int | None) -> Known:
    """Of each group's total alone (:mod:`detectors.rows`)."""
    rows, past = slice(None, 1) if stride is None else slice(None, None, stride), known.past
    of_totals = Past(past.n[rows], past.mean[rows], past.m2[rows])
    return Known(of_totals, known.mean[rows], known.sd[rows], known.phi[rows], known.phi_sq[rows])


def design_effect(known: Known) -> Floats:
    """[R] by how much the dependence within units inflates the variance: max(1, Σ_k φ_k² / Σ_i φ_i²) of the baseline.

    Kish (1965), Survey Sampling, sec. 5.4. The baseline knows it long before the canary has units that come back.
    """
    squares = np.einsum("rk,rk->r", known.phi, known.phi)
    effect: Floats = np.maximum(1.0, squares / np.where(known.phi_sq > 0, known.phi_sq, np.inf))
    return effect


def rates_of(past: Past, prior_rate: float) -> Floats:
    """[R] the baseline's rate, drawn towards a prior."""
    rates: Floats = (past.n * past.mean + PRIOR_REQUESTS * prior_rate) / (past.n + PRIOR_REQUESTS)
    return rates


def tuned_rho(effects: Floats, alpha: float) -> Floats:
    """r = t*/c in intrinsic time of the difference: t* = K² / effect², effects in the metric's unit."""
    rho: Floats = _rho_of_one(alpha) / np.square(np.maximum(effects, 1e-140))
    return rho


@lru_cache(maxsize=64)
def _rho_of_one(alpha: float) -> float:
    one = np.ones(1)
    return best_rho(1.0, alpha, one_sided=True) * float(tuned_time(one, one, alpha)[0])


def rounding(mean: Floats) -> Floats:
    """[R] a floor on variances for each unit of w, above what rounding leaves of a metric that never varies."""
    return np.square(_CV_MIN * or_else(mean, 0.0))


def or_else(numbers: Floats, fill: float) -> Floats:
    """The numbers, with something in place of NaN."""
    return np.where(np.isnan(numbers), fill, numbers)


def log_mean_evidence(
    known: Known, effects: tuple[float, ...], s: Floats, v_b: Floats, v_score: Floats, w: Floats
) -> Floats:
    """[R, J] log of the mean evidence of mixtures that are tuned to different effects.

    With V = max(V_b, deff V_score): V_b knows nothing of what has not come yet. A canary without one of the values that
    a tenth of the baseline's answers have, or without its few large ones, would vary little and seem to differ for
    sure; the spread within blocks, most of it the baseline's, knows of them.

    Parameters
    ----------
    known : of R rows or fewer.
    effects : in standard deviations of a value, each > 0.
    s, v_b, v_score, w : [R, J] sums, their variances over units and over requests, information.
    """
    rows = len(s)
    mean, sd = grown(known.mean, rows, np.nan), or_else(grown(known.sd, rows, np.nan), 1.0)
    inflated = grown(design_effect(known), rows, 1.0)[:, None]
    v = np.maximum(np.maximum(v_b, inflated * v_score), rounding(mean)[:, None] * w)
    each = log_evidence(s, v, w, tuned_rho(constant(effects)[:, None] * sd, _TUNED_ALPHA)[:, :, None])
    top = np.maximum.reduce(each, axis=0)
    average: Floats = top + np.log(np.add.reduce(np.exp(each - top), axis=0) / len(effects))
    return average


def log_evidence(s: Floats, v: Floats, w: Floats, r: Floats) -> Floats:
    """ln M at s W / V and W² / V; 0 where nothing varies yet.

    With s and v so scaled the intrinsic time W² / V is the inverse variance of S / W, and r = t*/c is in the metric's
    unit alone: it need not know how dependent requests are.

    Parameters
    ----------
    s, v, w, r : sum, its variance, information, tuning; all broadcast.
    """
    varies = v > 0
    precision = w / np.where(varies, v, np.inf)
    return np.where(varies, log_mixture_one_sided(s * precision, w * precision, r), 0.0)
