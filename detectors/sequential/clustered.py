"""Differences within blocks whose variance is taken over units, not over requests."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.rows import Placed, placed
from detectors.sequential.past import grown
from detectors.unit_batches import BUCKETS, UnitBatch


class ClusteredSums(msgspec.Struct, frozen=True, eq=False):
    """Sums over the blocks of all segments, linear in what the baseline is scaled and shifted by: one state serves
    every margin. G groups of rows have G totals (:mod:`detectors.rows`); a single release has one.

    Parameters
    ----------
    psi : [G, 3, K] the parts of ψ that belong to the canary, to the baseline, and to a shift of the baseline by 1.
    w : [G] information, Σ n_c n_b / n.
    score : [G, 2] Σ w M2 / (n - 2) of the canary and of the baseline.
    phi : [G, K] Σ p (x - m_b) over the baseline's values in each bucket.
    phi_sq : [G] Σ p² (x - m_b)² over the same.
    """

    psi: Floats
    w: Floats
    score: Floats
    phi: Floats
    phi_sq: Floats


class Gain(NamedTuple):
    """What the blocks of one moment add.

    Parameters
    ----------
    place : of the blocks: t totals, then the m blocks' rows.
    psi, w : [t + m, 3, K] and [t + m] in that order, as in :class:`ClusteredSums`.
    groups : of the totals, in arrays that have no other rows.
    totals : [t, …] what the totals get.
    """

    place: Placed
    psi: Floats
    w: Floats
    groups: Placed
    totals: ClusteredSums


class Contrast(NamedTuple):
    """Canary against the changed baseline, each [G, A]: ``s`` = Σ ψ_k, ``v_b`` over buckets, and ``v_score``."""

    s: Floats
    v_b: Floats
    v_score: Floats


def start_sums(groups: int = 1) -> ClusteredSums:
    """No block seen."""
    psi, phi = np.zeros((groups, 3, BUCKETS)), np.zeros((groups, BUCKETS))
    return ClusteredSums(psi, np.zeros(groups), np.zeros((groups, 2)), phi, np.zeros(groups))


def gain_of(batch: UnitBatch, *, shift_by: float = 1.0) -> Gain:
    """What blocks add, each of which has both arms.

    In a block with p = n_c / n and pooled mean m, bucket k adds ψ_k = (1-p) Σ_{c,k} (x-m) - p Σ_{b,k} (x-m). Over
    the buckets this is the block's S = w (m_c - m_b) exactly. With a baseline of f x + d in place of x it is
    ψ_k = ψ^c_k - f ψ^b_k - d ψ^1_k, because m is linear in f and d too.

    Parameters
    ----------
    batch : blocks with both arms, in buckets of BUCKETS.
    shift_by : what a shift of 1 adds to the baseline in these blocks; a shift may mean another amount in each block.
    """
    if batch.n_b.shape[1] != BUCKETS:
        raise ValueError(f"units are in {BUCKETS} buckets, found {batch.n_b.shape[1]}")
    (n_b, sum_b, m2_b), (n_c, sum_c, m2_c) = batch.arms
    columns = (n_b, n_c, sum_b, sum_c)
    total_b, total_c, all_b, all_c = (np.add.reduce(column, axis=1, keepdims=True) for column in columns)
    n = total_b + total_c
    p = total_c / n
    # Of the baseline's counts and values the part p, of the canary's 1 - p.
    share_b, share_c = p * n_b, n_c - p * n_c
    lean = (share_c - share_b) / n
    psi = np.empty((batch.rows.size, 3, BUCKETS))
    psi[:, 0] = sum_c - p * sum_c - lean * all_c
    psi[:, 1] = p * sum_b
    phi = psi[:, 1] - share_b * (all_b / total_b)
    psi[:, 1] += lean * all_b
    psi[:, 2] = (share_b + lean * total_b) * shift_by
    p, n = p[:, 0], n[:, 0]
    w = p * total_b[:, 0]
    score = (w / np.maximum(n - 2.0, 1.0))[:, None] * np.array((m2_c, m2_b)).T
    place = placed(batch.rows, batch.stride)
    groups = place.of_totals(batch.stride)
    psi, w = place.with_sums(psi), place.with_sums(w)
    t = groups.where.size
    totals = ClusteredSums(psi[:t], w[:t], *(place.summed(one) for one in (score, phi, p * p * m2_b)))
    return Gain(place, psi, w, groups, totals)


def add(sums: ClusteredSums, gain: Gain) -> ClusteredSums:
    """With what blocks add. The sums given are not changed."""
    groups, new = gain.groups, gain.totals
    old = grown_sums(sums, groups.height)
    return ClusteredSums(
        groups.plus(old.psi, new.psi),
        groups.plus(old.w, new.w),
        groups.plus(old.score, new.score),
        groups.plus(old.phi, new.phi),
        groups.plus(old.phi_sq, new.phi_sq),
    )


def contrast(sums: ClusteredSums, *, scale: Floats, shift: Floats) -> Contrast:
    """The sums against a baseline of scale × x + shift.

    V_b = K/(K-1) (Σ_k ψ_k² - S²/K): the variance of S when buckets are independent, whatever goes on within one. A
    bucket is a cluster of the sandwich of Liang and Zeger (1986), Biometrika 73, with its correction for K.

    Parameters
    ----------
    scale, shift : [G, A] of the baseline.

    >>> batch = UnitBatch.of_counts(
    ...     np.array([1]), n_b=np.ones((1, 200)), k_b=np.zeros((1, 200)), n_c=np.ones((1, 200)), k_c=np.ones((1, 200))
    ... )
    >>> found = contrast(add(start_sums(), gain_of(batch)), scale=np.ones((1, 1)), shift=np.zeros((1, 1)))
    >>> found.s.tolist()
    [[100.0]]
    """
    of_canary, of_baseline, of_one = (sums.psi[:, None, part, :] for part in range(3))
    psi = of_canary - scale[:, :, None] * of_baseline - shift[:, :, None] * of_one
    s, v_b = spread_of(psi)
    return Contrast(s, v_b, sums.score[:, :1] + scale**2 * sums.score[:, 1:])


def spread_of(psi: Floats) -> tuple[Floats, Floats]:
    """S = Σ ψ_k and V_b = K/(K-1) (Σ ψ_k² - S²/K) over the last axis."""
    s = np.add.reduce(psi, axis=-1)
    squares = np.einsum("...k,...k->...", psi, psi)
    return s, np.maximum(squares - s * s / BUCKETS, 0.0) * (BUCKETS / (BUCKETS - 1))


def design_effect(sums: ClusteredSums) -> Floats:
    """[G] by how much the dependence within units inflates the variance: max(1, Σ_k φ_k² / Σ_i φ_i²) of the baseline.

    Kish (1965), Survey Sampling, sec. 5.4. The baseline knows it long before the canary has units that come back.
    """
    squares = np.einsum("rk,rk->r", sums.phi, sums.phi)
    effect: Floats = np.maximum(1.0, squares / np.where(sums.phi_sq > 0, sums.phi_sq, np.inf))
    return effect


def grown_sums(sums: ClusteredSums, groups: int) -> ClusteredSums:
    """With zeros for new groups."""
    if groups <= sums.w.size:
        return sums
    parts = (sums.psi, sums.w, sums.score, sums.phi, sums.phi_sq)
    return ClusteredSums(*(grown(part, groups, 0.0) for part in parts))
