"""Differences within blocks whose variance is taken over units, not over requests."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.rows import Placed, placed
from detectors.sequential.past import grown
from detectors.unit_batches import BUCKETS, UnitBatch, UnitTotals


class ClusteredSums(msgspec.Struct, frozen=True, eq=False):
    """Sums over the blocks of all segments, linear in what changes the baseline: one state serves every margin.

    G groups of rows have G totals (:mod:`detectors.rows`); a single release has one.

    Parameters
    ----------
    psi : [G, 2, K] by bucket: ψ against the baseline as it is, and what a change of the baseline by 1 takes from it.
    w : [G] information, Σ n_c n_b / n.
    score : [G, 2] Σ w M2 / (n - 2) of the canary and of the baseline.
    """

    psi: Floats
    w: Floats
    score: Floats


class Gain(NamedTuple):
    """What the blocks of one moment add.

    Parameters
    ----------
    place : of the blocks: t totals, then the m blocks' rows.
    psi, w : [t + m, 2, K] and [t + m] in that order, as in :class:`ClusteredSums`.
    phi : [t + m, K] φ = Σ p (x - m_b) over the baseline's values in each bucket.
    phi_sq : [t + m] Σ p² (x - m_b)² over the same.
    score : [t + m, 2] as in :class:`ClusteredSums`.
    """

    place: Placed
    psi: Floats
    w: Floats
    phi: Floats
    phi_sq: Floats
    score: Floats


class Contrast(NamedTuple):
    """Canary against the changed baseline, each [G, A]: ``s`` = Σ ψ_k, ``v_b`` over buckets, and ``v_score``."""

    s: Floats
    v_b: Floats
    v_score: Floats


def start_sums(groups: int = 1) -> ClusteredSums:
    """No block seen."""
    return ClusteredSums(np.zeros((groups, 2, BUCKETS)), np.zeros(groups), np.zeros((groups, 2)))


def gain_of(batch: UnitBatch, totals: UnitTotals, *, relative: bool, shift_by: float = 1.0) -> Gain:
    """What blocks add, each of which has both arms.

    In a block with p = n_c / n and pooled mean m, bucket k adds ψ_k = (1-p) Σ_{c,k} (x-m) - p Σ_{b,k} (x-m). Over
    the buckets this is the block's S = w (m_c - m_b) exactly. Of a changed baseline, (1+a) x or x + a in place of x,
    it is ψ_k - a χ_k, because m is linear in a too. With l_k = (1-p) n_{c,k} - p n_{b,k}:

    - ψ_k = (1-p) Σ_{c,k} x - p Σ_{b,k} x - m l_k
    - χ_k = p Σ_{b,k} x + l_k Σ_b x / n when a is relative, p n_{b,k} + (1-p) l_k when it is not.

    Parameters
    ----------
    batch, totals : blocks with both arms, in buckets of BUCKETS.
    relative : whether a change of the baseline is relative to its values, or a shift of them.
    shift_by : how large a shift of 1 is in these blocks; it may mean another amount in each block.
    """
    if batch.n_b.shape[1] != BUCKETS:
        raise ValueError(f"units are in {BUCKETS} buckets, found {batch.n_b.shape[1]}")
    n_b, n_c, sum_b, sum_c = totals
    (_, _, m2_b), (_, _, m2_c) = batch.arms
    n = n_b + n_c
    p, rest, mean, part = n_c / n, n_b / n, (sum_b + sum_c) / n, sum_b / n
    # All three are linear in the buckets' counts and sums.
    of = np.zeros((3, 4, batch.rows.size))
    of[0] = mean * p, -mean * rest, -p, rest
    if relative:
        of[1, :3] = -part * p, part * rest, p
    else:
        of[1, :2] = shift_by * p * p, shift_by * rest * rest
    of[2, 0], of[2, 2] = -p * (sum_b / n_b), p
    columns = np.array((batch.n_b, batch.n_c, batch.sum_b, batch.sum_c)).swapaxes(0, 1)
    place = placed(batch.rows, batch.stride)
    sums, w = place.with_sums(of.transpose(2, 0, 1) @ columns), place.with_sums(p * n_b)
    score = place.with_sums((p * n_b / np.maximum(n - 2.0, 1.0))[:, None] * np.array((m2_c, m2_b)).T)
    return Gain(place, sums[:, :2], w, sums[:, 2], place.with_sums(p * p * m2_b), score)


def add(sums: ClusteredSums, gain: Gain) -> ClusteredSums:
    """With what blocks add to the totals. The sums given are not changed."""
    groups = gain.place.totals
    old, t = grown_sums(sums, groups.height), groups.where.size
    return ClusteredSums(
        groups.plus(old.psi, gain.psi[:t]),
        groups.plus(old.w, gain.w[:t]),
        groups.plus(old.score, gain.score[:t]),
    )


def contrast(sums: ClusteredSums, change: Floats, *, relative: bool) -> Contrast:
    """The sums against a changed baseline.

    V_b = K/(K-1) (Σ_k ψ_k² - S²/K): the variance of S when buckets are independent, whatever goes on within one. A
    bucket is a cluster of the sandwich of Liang and Zeger (1986), Biometrika 73, with its correction for K.

    Parameters
    ----------
    change : [G, A] amounts.
    relative : as for :func:`gain_of`.

    >>> one = np.ones((1, 200))
    >>> batch = UnitBatch.of_counts(np.array([1]), n_b=one, k_b=0 * one, n_c=one, k_c=one)
    >>> sums = add(start_sums(), gain_of(batch, batch.totals, relative=False))
    >>> contrast(sums, np.array([[0.0, 0.5]]), relative=False).s.tolist()
    [[100.0, 50.0]]
    """
    s, v_b = spread_of(sums.psi[:, None, 0] - change[:, :, None] * sums.psi[:, None, 1])
    scale = 1.0 + change if relative else np.ones_like(change)
    return Contrast(s, v_b, sums.score[:, :1] + scale * scale * sums.score[:, 1:])


def spread_of(psi: Floats) -> tuple[Floats, Floats]:
    """S = Σ ψ_k and V_b = K/(K-1) (Σ ψ_k² - S²/K) over the last axis."""
    s = np.add.reduce(psi, axis=-1)
    squares = np.einsum("...k,...k->...", psi, psi)
    return s, np.maximum(squares - s * s / BUCKETS, 0.0) * (BUCKETS / (BUCKETS - 1))


def grown_sums(sums: ClusteredSums, groups: int) -> ClusteredSums:
    """With zeros for new groups."""
    if groups <= sums.w.size:
        return sums
    parts = (sums.psi, sums.w, sums.score)
    return ClusteredSums(*(grown(part, groups, 0.0) for part in parts))
