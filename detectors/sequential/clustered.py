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
    """Sums over blocks by row, linear in what the baseline is scaled and shifted by: one state serves every margin.

    Parameters
    ----------
    psi : [R, 3, K] the parts of ψ that belong to the canary, to the baseline, and to a shift of the baseline by 1.
    w : [R] information, Σ n_c n_b / n.
    score : [R, 2] Σ w M2 / (n - 2) of the canary and of the baseline.
    phi : [R, K] Σ p (x - m_b) over the baseline's values in each bucket.
    phi_sq : [R] Σ p² (x - m_b)² over the same.
    """

    psi: Floats
    w: Floats
    score: Floats
    phi: Floats
    phi_sq: Floats


class Contrast(NamedTuple):
    """Canary against the changed baseline, each [R, G]: ``s`` = Σ ψ_k, ``v_b`` over buckets, and ``v_score``."""

    s: Floats
    v_b: Floats
    v_score: Floats


def start_sums(rows: int = 1) -> ClusteredSums:
    """No block seen."""
    psi, phi = np.zeros((rows, 3, BUCKETS)), np.zeros((rows, BUCKETS))
    return ClusteredSums(psi, np.zeros(rows), np.zeros((rows, 2)), phi, np.zeros(rows))


def add(sums: ClusteredSums, batch: UnitBatch, *, shift_by: float = 1.0) -> ClusteredSums:
    """With more blocks, each of which has both arms.

    In a block with p = n_c / n and pooled mean m, bucket k adds ψ_k = (1-p) Σ_{c,k} (x-m) - p Σ_{b,k} (x-m). Over
    the buckets this is the block's S = w (m_c - m_b) exactly. With a baseline of f x + d in place of x it is
    ψ_k = ψ^c_k - f ψ^b_k - d ψ^1_k, because m is linear in f and d too.

    Parameters
    ----------
    sums : is not changed.
    batch : blocks with both arms, in buckets of BUCKETS.
    shift_by : what a shift of 1 adds to the baseline in these blocks; a shift may mean another amount in each block.
    """
    psi, w = parts(batch)
    total_b, total_c = batch.n_b.sum(axis=1, keepdims=True), batch.n_c.sum(axis=1, keepdims=True)
    n = total_b + total_c
    p = total_c / n
    mean_b = batch.sum_b.sum(axis=1, keepdims=True) / total_b
    p_sq = p[:, 0] ** 2
    per_value = w / np.maximum(n[:, 0] - 2.0, 1.0)
    psi[:, 2] *= shift_by
    place = placed(batch.rows, batch.stride)
    return ClusteredSums(
        _summed(sums.psi, place, psi),
        _summed(sums.w, place, w),
        _summed(sums.score, place, per_value[:, None] * np.stack([batch.m2_c, batch.m2_b], axis=1)),
        _summed(sums.phi, place, p * (batch.sum_b - batch.n_b * mean_b)),
        _summed(sums.phi_sq, place, p_sq * batch.m2_b),
    )


def parts(batch: UnitBatch) -> tuple[Floats, Floats]:
    """ψ [m, 3, K] of each block, of the canary, of the baseline and of a shift of the baseline by 1, and w [m]."""
    if batch.n_b.shape[1] != BUCKETS:
        raise ValueError(f"units are in {BUCKETS} buckets, found {batch.n_b.shape[1]}")
    total_b, total_c = batch.n_b.sum(axis=1, keepdims=True), batch.n_c.sum(axis=1, keepdims=True)
    n = total_b + total_c
    p = total_c / n
    lean = ((1 - p) * batch.n_c - p * batch.n_b) / n
    psi = np.stack(
        [
            (1 - p) * batch.sum_c - lean * batch.sum_c.sum(axis=1, keepdims=True),
            p * batch.sum_b + lean * batch.sum_b.sum(axis=1, keepdims=True),
            p * batch.n_b + lean * total_b,
        ],
        axis=1,
    )
    return psi, (p * total_b)[:, 0]


def contrast(sums: ClusteredSums, *, scale: Floats, shift: Floats) -> Contrast:
    """The sums against a baseline of scale × x + shift.

    V_b = K/(K-1) (Σ_k ψ_k² - S²/K): the variance of S when buckets are independent, whatever goes on within one. A
    bucket is a cluster of the sandwich of Liang and Zeger (1986), Biometrika 73, with its correction for K.

    Parameters
    ----------
    scale, shift : [R, G] of the baseline.

    >>> batch = UnitBatch.of_counts(
    ...     np.array([1]), n_b=np.ones((1, 200)), k_b=np.zeros((1, 200)), n_c=np.ones((1, 200)), k_c=np.ones((1, 200))
    ... )
    >>> found = contrast(add(start_sums(2), batch), scale=np.ones((2, 1)), shift=np.zeros((2, 1)))
    >>> found.s[:, 0].tolist()
    [100.0, 100.0]
    """
    of_canary, of_baseline, of_one = (sums.psi[:, None, part, :] for part in range(3))
    psi = of_canary - scale[:, :, None] * of_baseline - shift[:, :, None] * of_one
    s = psi.sum(axis=2)
    v_b = np.maximum((psi**2).sum(axis=2) - s**2 / BUCKETS, 0.0) * (BUCKETS / (BUCKETS - 1))
    return Contrast(s, v_b, sums.score[:, :1] + scale**2 * sums.score[:, 1:])


def design_effect(sums: ClusteredSums) -> Floats:
    """[R] by how much the dependence within units inflates the variance: max(1, Σ_k φ_k² / Σ_i φ_i²) of the baseline.

    Kish (1965), Survey Sampling, sec. 5.4. The baseline knows it long before the canary has units that come back.
    """
    known = sums.phi_sq > 0
    ratio = np.divide((sums.phi**2).sum(axis=1), sums.phi_sq, out=np.ones_like(sums.phi_sq), where=known)
    effect: Floats = np.maximum(1.0, ratio)
    return effect


def grown_sums(sums: ClusteredSums, rows: int) -> ClusteredSums:
    """With rows for new segments."""
    parts = (sums.psi, sums.w, sums.score, sums.phi, sums.phi_sq)
    return ClusteredSums(*(grown(part, rows, 0.0) for part in parts))


def _summed(old: Floats, place: Placed, new: Floats) -> Floats:
    (total,) = place.added(new, grown(old, int(place.where.max()) + 1, 0.0))
    return total
