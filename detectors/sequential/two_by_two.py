"""The likelihood ratio of one 2×2 block against the nearest point of the null, for many blocks at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.arrays import Floats
from detectors.batches import RateBatch

_POLISHINGS: Final = 2
_MARGIN: Final = 1e-12
_WELL_POSED: Final = 1e-12
"""Rounding moves the angle, and with it q, by about 1e-16 / √(1 - cosine²): by less than 2e-10 of q, and of what q
lacks to its end, where the square of all three is above this. By enumeration the mean of an e-value then exceeds 1 by
2.4e-12 at most, where an alternative on the null's edge makes every table's 1."""

_SETTLED: Final = 1e-8
"""Newton's steps are quadratic: after one this small the next would change nothing that a float holds."""


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
    so Viète's formula finds it. Where roots are close or ours is small, at most two Newton steps on the derivative,
    with h = (q-θ)/(q(1-q)), restore what the cubic's rounding lost. Below, a is a third of its second coefficient.

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
    share_c = n_c / (n_b + n_c)
    share_b, free = 1.0 - share_c, 1.0 - gap
    between, product = free - gap, gap * free
    a = (share_b * (between + theta_b) + share_c * (free + theta_c)) / -3.0
    b = share_b * (theta_b * between - product) + share_c * (theta_c - gap)
    c = share_b * theta_b * product
    a_squared = a * a
    radius = np.sqrt(a_squared - b / 3.0)
    cosine = (0.5 * (a * b - c) - a_squared * a) / (radius * radius * radius)
    angle = (np.arccos(np.maximum(np.minimum(cosine, 1.0), -1.0)) - 2.0 * np.pi) / 3.0
    ceiling = free * (1.0 - _MARGIN)
    q: Floats = np.minimum(np.maximum(2.0 * radius * np.cos(angle) - a, _MARGIN), ceiling)
    distance = q * (free - q)
    if ((1.0 - cosine * cosine) * distance * distance > _WELL_POSED).all():
        return q
    for _ in range(_POLISHINGS):
        u = q + gap
        spread_b, spread_c = q * (1.0 - q), u * (1.0 - u)
        pull_b, pull_c = n_b / spread_b, n_c / spread_c
        slope = pull_b * (q - theta_b) + pull_c * (u - theta_c)
        bend_b = pull_b / spread_b * (q * q + theta_b * (1.0 - 2.0 * q))
        bend = bend_b + pull_c / spread_c * (u * u + theta_c * (1.0 - 2.0 * u))
        before, q = q, np.minimum(np.maximum(q - slope / bend, 0.1 * q), ceiling)
        if (np.abs(q - before) <= _SETTLED * before).all():
            break
    return q


class Alternatives(NamedTuple):
    """What each block's table is compared with, in columns: (theta_b, theta_c) [m, J] against a null with ``gap`` [J].

    >>> one = Alternatives(np.full((1, 1), 0.01), np.full((1, 1), 0.02), np.zeros(1))
    >>> Alternatives.beside([one, one]).theta_c.tolist()
    [[0.02, 0.02]]
    """

    theta_b: Floats
    theta_c: Floats
    gap: Floats

    @classmethod
    def beside(cls, parts: Sequence[Alternatives]) -> Alternatives:
        """The columns of all parts, at least one: what shares its tables is compared at once."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)))


class Tables(NamedTuple):
    """The 2×2 tables of m blocks: bad and all requests of the baseline, bad and all of the canary."""

    k_b: Floats
    n_b: Floats
    k_c: Floats
    n_c: Floats


def tables_of(pairs: RateBatch) -> Tables:
    """The tables of blocks with both arms, each [m, 1]."""
    return Tables(*(column[:, None] for column in (pairs.k_b, pairs.n_b, pairs.k_c, pairs.n_c)))


def log_ratios(asked: Sequence[tuple[Tables, Alternatives]]) -> list[Floats]:
    """[m, J] of each pair by :func:`log_ratio`, at once. All tables are of the same blocks; k_c may differ.

    >>> one = Tables(*np.ones((4, 1, 1)))
    >>> other, like = one._replace(k_c=np.zeros((1, 1))), Alternatives(*np.array([[[0.01]], [[0.02]]]), np.zeros(1))
    >>> [np.exp(log_r).round(6).tolist() for log_r in log_ratios([(one, like), (other, like)])]
    [[[0.888889]], [[0.663283]]]
    """
    ends = np.cumsum([alternatives.gap.size for _, alternatives in asked]).tolist()
    tables = asked[0][0]
    if any(other.k_c is not tables.k_c for other, _ in asked):
        tables = tables._replace(
            k_c=np.concatenate([table.k_c.repeat(one.gap.size, axis=-1) for table, one in asked], axis=-1)
        )
    log_e = log_ratio(tables, *Alternatives.beside([one for _, one in asked]))
    return [log_e[..., first:last] for first, last in zip([0, *ends], ends, strict=False)]


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
