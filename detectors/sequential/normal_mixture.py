"""Normal mixtures: time-uniform bounds for sums with a known variance process."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr

from detectors.arrays import Floats


def best_rho(v_opt: float, alpha: float, *, one_sided: bool) -> float:
    """The mixture's r that makes its bound tightest, nearly, at intrinsic time ``v_opt``.

    r = v_opt / (2 ln 1/α + ln(1 + 2 ln 1/α)), with 2α in place of α when one-sided.
    Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric, nonasymptotic
    confidence sequences, Annals of Statistics 49.

    >>> round(best_rho(100.0, 0.05, one_sided=False), 5)
    12.60056
    """
    surprise = -2.0 * log(2.0 * alpha if one_sided else alpha)
    return v_opt / (surprise + log(1.0 + surprise))


def log_mixture_one_sided(s: Floats, v: Floats, r: Floats) -> Floats:
    """ln M = ½ ln(4r/(v+r)) + s²/(2(v+r)) + ln Φ(s/√(v+r)): evidence that the sum drifts upwards.

    Howard et al. (2021), one-sided normal mixture. E M <= 1 when s is a sub-Gaussian martingale with intrinsic time v.

    Parameters
    ----------
    s : the sum. v : its intrinsic time (variance), >= 0. r : tuning, > 0. All broadcast.

    >>> round(float(log_mixture_one_sided(np.array(10.0), np.array(100.0), np.array(15.8))), 2)
    -0.07
    """
    total = v + r
    standard = s / np.sqrt(total)
    value: Floats = 0.5 * np.log(4.0 * r / total) + 0.5 * standard**2 + log_ndtr(standard)
    return value


def log_mixture_two_sided(s: Floats, v: Floats, r: Floats) -> Floats:
    """ln M = ½ ln(r/(v+r)) + s²/(2(v+r)): evidence that the sum drifts either way.

    Robbins (1970); Howard et al. (2021), eq. 14.

    >>> round(float(log_mixture_two_sided(np.array(10.0), np.array(100.0), np.array(12.60056))), 6)
    -0.651005
    """
    total = v + r
    value: Floats = 0.5 * np.log(r / total) + 0.5 * s**2 / total
    return value


def bound_two_sided(v: Floats, alpha: float, r: Floats) -> Floats:
    """The |s| at which the two-sided mixture reaches 1/α: √((v+r)(ln(1+v/r) + 2 ln 1/α)).

    >>> round(float(bound_two_sided(np.array(100.0), 0.05, np.array(12.60056))), 4)
    30.3521
    """
    bound: Floats = np.sqrt((v + r) * (np.log1p(v / r) - 2.0 * log(alpha)))
    return bound


def bound_one_sided(v: float, alpha: float, r: float) -> float:
    """The s at which the one-sided mixture reaches 1/α.

    >>> round(bound_one_sided(100.0, 0.05, best_rho(100.0, 0.05, one_sided=True)), 5)
    27.66071
    """
    target = -log(alpha)

    def shortfall(s: float) -> float:
        return float(log_mixture_one_sided(np.array(s), np.array(v), np.array(r))) - target

    above = sqrt((v + r) * (log(1.0 + v / r) - 2.0 * log(alpha))) + sqrt(v + r)
    return float(brentq(shortfall, -above, above, xtol=1e-13 * above, rtol=1e-14))


def tuned_time(margin: Floats, cv: Floats, alpha: float) -> Floats:
    """The information W at which an equal canary is expected to be shown to be within a margin.

    t* = K² cv² / Δ² with K² = 2 (c+1)/c · ln(1 + √(c+1) / 2α), c = -2 ln 2α + ln(1 - 2 ln 2α): the one-sided bound
    of Waudby-Smith et al. (2024, eq. 134) solved for the time at which it equals Δ. K² = 7.72 at α = 0.05.

    Parameters
    ----------
    margin : Δ, relative, > 0. cv : coefficient of variation of the metric, > 0. Both broadcast.
    alpha : of PASS.

    >>> round(float(tuned_time(np.array(1.0), np.array(1.0), 0.05)), 2)
    7.72
    """
    c = 1.0 / best_rho(1.0, alpha, one_sided=True)
    k2 = 2.0 * (c + 1.0) / c * log(1.0 + sqrt(c + 1.0) / (2.0 * alpha))
    time: Floats = k2 * cv**2 / margin**2
    return time
