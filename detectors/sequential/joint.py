"""All metrics together: is the canary's mean vector different, in any direction?"""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.sequential.past import grown
from detectors.sequential.row_weights import shared_out, start_weights, weighted
from detectors.vector_batches import VectorBatch


class JointState(msgspec.Struct, frozen=True, eq=False):
    """What was learned of the baseline, and sums over later blocks by row.

    Parameters
    ----------
    learned_n, learned : scalar [1] and [d, d]: values of the baseline and their scatter within blocks, then frozen.
        With [R, d, d] each row has learned its own: rows are then releases of their own.
    s : [R, d] Σ w (m_c - m_b). v : [R, d, d] its sandwich covariance.
    log_weight : [R] the row's weight in the gate's e-value.
    """

    learned_n: Floats
    learned: Floats
    s: Floats
    v: Floats
    log_weight: Floats


class Joint(msgspec.Struct, frozen=True):
    """A Hotelling T² that may be looked at at any time: a normal mixture over differences of mean vectors.

    M = √(det R / det(R + V)) exp(½ Sᵀ (R + V)⁻¹ S), where S sums w (m_c - m_b) over blocks and V sums
    (1-p)² Σ_c (u-m)(u-m)ᵀ + p² Σ_b (u-m)(u-m)ᵀ, m the block's pooled mean: exp(λᵀS - ½ λᵀVλ) with λ drawn from
    N(0, R⁻¹). R = t* Cov(u), learned from the baseline before the first block that counts. An asymptotic e-process
    (Robbins 1970 in vector form; de la Peña, Klass and Lai 2009, Probability Surveys 6, sec. 5), two-sided in every
    direction at once. It shows a difference, not harm.

    Parameters
    ----------
    dimensions : d, >= 1.
    tuned : t*, the information Σ n_c n_b / n at which it is sharpest, > 0.
    learn : values of the baseline to learn from, >= 10 d.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or vectors have other dimensions.

    >>> from detectors.summaries.scatter import Scatter
    >>> gate, rng = Joint(dimensions=2), np.random.default_rng(1)
    >>> state = gate.start()
    >>> for _ in range(30):
    ...     arms = Scatter.of(rng.normal(0.0, 1.0, (25, 2))), Scatter.of(rng.normal(0.6, 1.0, (25, 2)))
    ...     state = gate.observe(state, VectorBatch.of([(1, *arms)]))
    >>> bool(gate.evidence(state) > np.log(20))
    True
    """

    NAME: ClassVar[str] = "joint"
    VERSION: ClassVar[int] = 1

    dimensions: int
    tuned: float = 200.0
    learn: int = 200

    def __post_init__(self) -> None:
        if self.dimensions < 1:
            raise ValueError(f"Joint: dimensions must be >= 1, found {self.dimensions}")
        if not 0.0 < self.tuned < np.inf:
            raise ValueError(f"Joint: tuned must be > 0, found {self.tuned}")
        if self.learn < 10 * self.dimensions:
            raise ValueError(f"Joint: learn must be >= 10 × dimensions, found {self.learn}")

    def start(self) -> JointState:
        """Nothing known."""
        d = self.dimensions
        return JointState(np.zeros(1), np.zeros((d, d)), np.zeros((1, d)), np.zeros((1, d, d)), start_weights())

    def observe(self, state: JointState, batch: VectorBatch) -> JointState:
        """After the blocks that closed at one moment; while it learns, they only teach it."""
        if batch.mean_b.shape[1] != self.dimensions:
            raise ValueError(f"Joint: {self.dimensions} dimensions, found {batch.mean_b.shape[1]}")
        if batch.rows.size == 0:
            return state
        height = int(batch.rows.max()) + 1
        weights = shared_out(state.log_weight, self.harm(state), height)
        s, v = grown(state.s, height, 0.0).copy(), grown(state.v, height, 0.0).copy()
        if state.learned_n[0] < self.learn:
            free = np.maximum(batch.n_b - 1.0, 0.0)
            return JointState(state.learned_n + free.sum(), state.learned + batch.s_b.sum(axis=0), s, v, weights)
        pair = batch.paired
        gain_s, gain_v = _compared(batch)
        rows = batch.rows[pair]
        s[rows] += gain_s[pair]
        v[rows] += gain_v[pair]
        s[0] += gain_s[pair].sum(axis=0)
        v[0] += gain_v[pair].sum(axis=0)
        return JointState(state.learned_n, state.learned, s, v, weights)

    def harm(self, state: JointState) -> Floats:
        """[R] log e-value of each row; 0 while it learns."""
        if state.learned_n[0] < self.learn:
            return np.zeros(state.s.shape[0])
        spread = state.learned / state.learned_n[0]
        sd = np.sqrt(np.diagonal(spread, axis1=-2, axis2=-1))
        # In units of their own spread coordinates have no scale, and one that never varied has nothing to say.
        unit = np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1.0), 0.0)
        both = unit[..., :, None] * unit[..., None, :]
        r = self.tuned * (both * spread + 1e-9 * np.eye(self.dimensions))
        total = r + both * state.v
        s = state.s * unit
        shrunk = np.linalg.slogdet(r)[1] - np.linalg.slogdet(total)[1]
        evidence: Floats = 0.5 * shrunk + 0.5 * (s * np.linalg.solve(total, s[:, :, None])[:, :, 0]).sum(axis=1)
        return evidence

    def evidence(self, state: JointState) -> float:
        """Log e-value of the gate: half on the total, half spread over the segments."""
        return weighted(state.log_weight, self.harm(state))


def _compared(batch: VectorBatch) -> tuple[Floats, Floats]:
    """S [m, d] and V [m, d, d] of each block."""
    n = np.maximum(batch.n_b + batch.n_c, 1.0)
    p = batch.n_c / n
    gap = batch.mean_c - batch.mean_b
    outer = gap[:, :, None] * gap[:, None, :]
    of_c = batch.s_c + (batch.n_c * (1 - p) ** 2)[:, None, None] * outer
    of_b = batch.s_b + (batch.n_b * p**2)[:, None, None] * outer
    v = ((1 - p) ** 2)[:, None, None] * of_c + (p**2)[:, None, None] * of_b
    return (p * batch.n_b)[:, None] * gap, v
