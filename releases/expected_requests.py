"""How many requests a canary that is as good as the baseline needs until its gates show PASS.

Expectations, to plan with: one release may take half or twice as long, and most take a quarter less than the average.
Checked against the detectors by simulation (``tests/releases/test_expected_requests.py``), within a factor of 1.5.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import rel_entr

from detectors.sequential.normal_mixture import tuned_time
from detectors.sequential.two_by_two import nearest_null
from releases.budget import ALPHA_PASS
from releases.counting import Counts
from releases.joint_gate import ENOUGH
from releases.margins import judged_as_ppm, margin_at
from schemas.metric import JOINT, Metric
from schemas.plan import Plan
from schemas.units import PPM

ERROR_RATE_ASSUMED = 0.01
"""The baseline's error rate, where nothing is known of it yet."""

MIX_SHARE_ASSUMED = 0.5
"""A label's commonest value: the nearer to a half, the more requests its share takes."""

CV_ASSUMED = 1.0
"""The coefficient of variation of a metric (sd / mean), where nothing is known: that of an exponential latency."""


def canary_requests(
    plan: Plan, gate: Metric, *, weight_ppm: int, for_share_ppm: int, counts: Counts = "request"
) -> float:
    """Requests of each canary until ``gate`` is expected to exclude what opening to a share asks for.

    Rates: PASS comes when the 2×2 e-process reaches 1/α. For an equal canary its logarithm grows per block by
    n_b KL(p, q) + n_c KL(p, q + Δ), (q, q + Δ) being the nearest point of "worse by Δ" (Turner, Ly and Grünwald 2024);
    so n_c = ln(1/α) / (KL(p, q+Δ) + n_b/n_c · KL(p, q)).

    Quantiles: the same, for "beyond the threshold made worse by the margin" of the canary against "beyond the
    threshold" of the baseline, for values with an exponential distribution.

    All metrics together: nothing is excluded, so it takes as many of both versions as the gate wants to have compared.

    Means: PASS comes at the information t* = K² cv² f / Δ² (:func:`detectors.sequential.normal_mixture.tuned_time`),
    information being n_c n_b / (n_c + n_b). f is how much larger the variance is that the bound uses because it scales
    the baseline by 1 + Δ: the larger of the sandwich's and the pooled one's.

    Units: the bound's t* for everything, with the variance that it takes at the margin. That is the least: dependence
    within units multiplies it by the design effect.

    Parameters
    ----------
    plan : whose margin holds.
    weight_ppm : share of each canary while the requests come in, in (0, 1,000,000).
    for_share_ppm : share of all canaries together that is to be opened.
    counts : units or requests.

    Returns
    -------
    The number of requests, > 0, for an error rate of 1 % or a coefficient of variation of 1.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> plan = parse_plan(EXAMPLE)
    >>> round(canary_requests(plan, plan.gates[0], weight_ppm=10_000, for_share_ppm=500_000))
    964
    """
    share = _share(plan, weight_ppm)
    if gate.kind == JOINT:
        return ENOUGH * max(1.0, share / (1.0 - share))
    margin = margin_at(plan, gate, for_share_ppm)
    by_unit = counts == "unit"
    if gate.level is not None:
        opens = judged_as_ppm(plan, for_share_ppm) / PPM
        return _of_quantile(gate, share, margin, opens=opens, by_unit=by_unit)
    if gate.range is not None:
        return _of_rate(share, margin, MIX_SHARE_ASSUMED)
    if gate.kind == "mean":
        return _of_mean(share, margin)
    p = MIX_SHARE_ASSUMED if gate.kind == "mix" else ERROR_RATE_ASSUMED
    return _of_clustered(share, p, p + margin, margin) if by_unit else _of_rate(share, margin, p)


def _of_clustered(share: float, p: float, edge: float, effect: float) -> float:
    edge = min(edge, 1.0)
    variance = max(p * (1.0 - p), edge * (1.0 - edge))
    return float(tuned_time(np.array(effect), np.array(variance**0.5), ALPHA_PASS)) / (1.0 - share)


def error_requests(margin: float, *, weight_ppm: int, plan: Plan) -> float:
    """Requests of each canary until it is expected to be excluded that its errors are more frequent by ``margin``.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> round(error_requests(0.01, weight_ppm=10_000, plan=parse_plan(EXAMPLE)))
    964
    """
    return _of_rate(_share(plan, weight_ppm), margin, ERROR_RATE_ASSUMED)


def _share(plan: Plan, weight_ppm: int) -> float:
    """The canary's share of the requests that are compared: its own and the baseline's."""
    return weight_ppm / (weight_ppm + PPM - weight_ppm * len(plan.canaries))


def _of_rate(share: float, margin: float, p: float) -> float:
    one, margin = np.ones(1), min(margin, 0.99 * (1.0 - p))
    q = float(nearest_null(p * one, p * one, (1.0 - share) * one, share * one, margin * one)[0])
    growth = _kl(p, q + margin) + (1.0 - share) / share * _kl(p, q)
    return math.log(1.0 / ALPHA_PASS) / growth


def _of_quantile(gate: Metric, share: float, margin: float, *, opens: float, by_unit: bool) -> float:
    level = gate.level or 0.5
    if gate.worse == "lower":
        p, far = level, -math.expm1(math.log1p(-level) * (1.0 - margin))
    else:
        p, far = 1.0 - level, (1.0 - level) ** (1.0 + margin)
    one, gap = np.ones(1), min((1.0 - opens) / opens * (p - far), 0.99 * (1.0 - p))
    if by_unit:
        return _of_clustered(share, p, p + gap, p - far + gap)
    q = float(nearest_null(p * one, far * one, (1.0 - share) * one, share * one, gap * one)[0])
    growth = _kl(far, q + gap) + (1.0 - share) / share * _kl(p, q)
    return math.log(1.0 / ALPHA_PASS) / growth


def _of_mean(share: float, margin: float) -> float:
    time = float(tuned_time(np.array(margin), np.array(CV_ASSUMED), ALPHA_PASS))
    scaled = (1.0 + margin) ** 2
    inflation = max((1.0 - share) + share * scaled, share + (1.0 - share) * scaled)
    return time * inflation / (1.0 - share)


def _kl(p: float, q: float) -> float:
    return float(rel_entr(p, q) + rel_entr(1.0 - p, 1.0 - q))
