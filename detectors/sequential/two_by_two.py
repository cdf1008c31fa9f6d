"""The likelihood ratio of one 2×2 block against the nearest point of the null, for many blocks at once."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from detectors.arrays import Floats

_POLISHINGS: Final = 2
_MARGIN: Final = 1e-12


def odds_times(rate: Floats, ratios: Floats) -> Floats:
    """[m, J] rates whose odds are ``ratios`` times those of ``rate``: nearly a ratio of rates, never above 1."""
    odds = rate[:, None] * ratios
    return odds / (1.0 - rate[:, None] + odds)


def nearest_null(theta_b: Floats, theta_c: Floats, n_b: Floats, n_c: Floats, gap: Floats) -> Floats:
    """The baseline's rate q at the point (q, q + gap) nearest to the alternative (theta_b, theta_c).

    Nearest in Kullback-Leibler divergence: the q that minimises n_b KL(theta_b, q) + n_c KL(theta_c, q + gap). The
    reverse information projection on a convex null gives an e-value (Grünwald, de Heide and Koolen 2024, thm 1).

    With h(θ, q) = (1-θ)/(1-q) - θ/q the derivative is n_b h(theta_b, q) + n_c h(theta_c, q + gap). Times all its
    denominators it is a cubic, whose sign alternates at -gap, 0, 1-gap and 1: three real roots, ours in the middle,
    so Viète's formula finds it. Two Newton steps on the derivative restore what the cubic's rounding lost.

    Parameters
    ----------
    theta_b, theta_c : the alternative, both within (0, 1); broadcast with the others.
    n_b, n_c : requests of each arm, >= 1.
    gap : within [0, 1): the null's boundary is p_c = p_b + gap.

    >>> one = np.ones(1)
    >>> float(nearest_null(0.01 * one, 0.03 * one, 50 * one, 50 * one, 0 * one)[0])
    0.02
    """
    if not gap.any():
        mixed: Floats = (n_b * theta_b + n_c * theta_c) / (n_b + n_c)
        return mixed
    share = n_c / (n_b + n_c)
    a = -(1.0 - share) * (1.0 - 2.0 * gap + theta_b) - share * (1.0 - gap + theta_c)
    b = (1.0 - share) * (theta_b * (1.0 - 2.0 * gap) - gap * (1.0 - gap)) + share * (theta_c - gap)
    c = (1.0 - share) * theta_b * gap * (1.0 - gap)
    radius = np.sqrt(a * a / 9.0 - b / 3.0)
    cosine = (a * b / 6.0 - c / 2.0 - a**3 / 27.0) / radius**3
    angle = (np.arccos(np.clip(cosine, -1.0, 1.0)) - 2.0 * np.pi) / 3.0
    ceiling = (1.0 - gap) * (1.0 - _MARGIN)
    q: Floats = np.clip(2.0 * radius * np.cos(angle) - a / 3.0, _MARGIN, ceiling)
    for _ in range(_POLISHINGS):
        u = q + gap
        b_up, b_down, c_up, c_down = (1 - theta_b) / (1 - q), theta_b / q, (1 - theta_c) / (1 - u), theta_c / u
        slope = n_b * (b_up - b_down) + n_c * (c_up - c_down)
        bend = n_b * (b_up / (1 - q) + b_down / q) + n_c * (c_up / (1 - u) + c_down / u)
        q = np.clip(q - slope / bend, 0.1 * q, ceiling)
    return q


class Tables(NamedTuple):
    """The 2×2 tables of m blocks: bad and all requests of the baseline, bad and all of the canary."""

    k_b: Floats
    n_b: Floats
    k_c: Floats
    n_c: Floats


def log_ratio(tables: Tables, theta_b: Floats, theta_c: Floats, gap: Floats) -> Floats:
    """Log of the likelihood of each table under the alternative over that at the nearest point of the null.

    The alternative is off (log ratio 0) where it lies on the boundary p_c = p_b + gap.

    >>> one = np.ones(1)
    >>> r = log_ratio(Tables(one, one, one, one), 0.01 * one, 0.02 * one, 0 * one)
    >>> round(float(np.exp(r[0])), 12)                                    # 0.01 × 0.02 / 0.015²
    0.888888888889
    """
    k_b, n_b, k_c, n_c = tables
    q = nearest_null(theta_b, theta_c, n_b, n_c, gap)
    u = q + gap
    ratio: Floats = (
        k_b * np.log(theta_b / q)
        + (n_b - k_b) * np.log((1 - theta_b) / (1 - q))
        + k_c * np.log(theta_c / u)
        + (n_c - k_c) * np.log((1 - theta_c) / (1 - u))
    )
    return ratio
