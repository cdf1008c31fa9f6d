"""FAIL and PASS where a unit is one observation: rates, exceedances and means of dependent requests."""

from __future__ import annotations

from math import inf, log
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.sequential.clustered import (
    ClusteredSums,
    Contrast,
    add,
    contrast,
    design_effect,
    grown_sums,
    start_sums,
)
from detectors.sequential.differences import Worse, scales
from detectors.sequential.mean_evalue import spread
from detectors.sequential.normal_mixture import best_rho, log_mixture_one_sided, tuned_time
from detectors.sequential.past import PRIOR_REQUESTS, Past, grown, learn, start_past
from detectors.sequential.row_weights import shared_out, start_weights, weighted
from detectors.unit_batches import UnitBatch

EFFECTS: Final = (0.05, 0.2, 0.8)
"""Effects, in standard deviations of a value, that the mixtures of FAIL are tuned to."""

_TUNED_ALPHA: Final = 0.05
_CV_MIN: Final = 1e-9


class UnitState(msgspec.Struct, frozen=True, eq=False):
    """What both gates know, by row.

    Parameters
    ----------
    past : of the baseline.
    sums : of all blocks since the row's first evidence.
    mean, sd : [R] of the past when the row got its first evidence, NaN before.
    log_weight : [R] the row's weight in the gate's e-value.
    """

    past: Past
    sums: ClusteredSums
    mean: Floats
    sd: Floats
    log_weight: Floats


class UnitBoundState(msgspec.Struct, frozen=True, eq=False):
    """What PASS knows: all of it, and the sums of the blocks since the last step."""

    known: UnitState
    recent: ClusteredSums


class UnitEvalue(msgspec.Struct, frozen=True):
    """FAIL on units: is the canary's mean worse than the baseline's by more than the tolerance?

    S and V_b of :func:`detectors.sequential.clustered.contrast`, in the one-sided normal mixture with s = S W / V_b at
    intrinsic time v = W² / V_b, the inverse variance of S / W. (With s and v so scaled r = t*/c is in the metric's
    unit alone and need not know how dependent requests are.) The e-value is the mean over mixtures tuned to different
    effects. An asymptotic e-process: Waudby-Smith et al. (2024), Annals of Statistics, eq. 134 as a martingale.

    A canary that a tolerance away equals the baseline is the edge of the null: means are scaled by 1 + tolerance,
    rates (``relative=False``) are shifted by it.

    Parameters
    ----------
    tolerance : harm that is none, within [0, 1): relative to the baseline's mean, or a difference of rates.
    worse : direction of harm.
    relative : tolerance relative to the baseline's mean (values), or a difference (zeros and ones).
    prior_rate : the rate expected before anything was seen, when not relative.
    effects : in standard deviations of a value, each > 0.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> gate = UnitEvalue(relative=False)
    >>> rng, state = np.random.default_rng(1), gate.start()
    >>> for _ in range(40):
    ...     n = rng.multinomial(100, np.full(200, 1 / 200), size=2).astype(float)
    ...     batch = UnitBatch.of_counts(np.array([1]), n_b=n[:1], k_b=0 * n[:1], n_c=n[1:], k_c=(n[1:] > 1) * 1.0)
    ...     state = gate.observe(state, batch)
    >>> bool(gate.harm(state)[1] > np.log(20))
    True
    """

    NAME: ClassVar[str] = "unit-evalue"
    VERSION: ClassVar[int] = 1

    tolerance: float = 0.0
    worse: Worse = "higher"
    relative: bool = True
    prior_rate: float = 0.01
    effects: tuple[float, ...] = EFFECTS

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"UnitEvalue: tolerance must be within [0, 1), found {self.tolerance}")
        if not 0.0 < self.prior_rate < 1.0:
            raise ValueError(f"UnitEvalue: prior_rate must be within (0, 1), found {self.prior_rate}")
        if not self.effects or min(self.effects) <= 0.0:
            raise ValueError(f"UnitEvalue: effects must be > 0, found {self.effects}")

    def start(self) -> UnitState:
        """Nothing known."""
        return _start(start_past())

    def observe(self, state: UnitState, batch: UnitBatch) -> UnitState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        weights = shared_out(state.log_weight, self.harm(state), int(batch.rows.max()) + 1)
        after = _observed(state, batch, None if self.relative else self.prior_rate)
        return msgspec.structs.replace(after, log_weight=weights)

    def harm(self, state: UnitState) -> Floats:
        """[R] log e-value of each row; 0 before the first evidence."""
        found = _against(state, np.array([self.tolerance]), self.worse, self.relative)
        effects = np.array(self.effects)[None, :] * np.nan_to_num(state.sd, nan=1.0)[:, None]
        r = _rho(effects, _TUNED_ALPHA)
        evidence = _evidence(found.s, np.maximum(found.v_b, _rounding(state)), state.sums.w, r)
        top = evidence.max(axis=1)
        mixed: Floats = top + np.log(np.exp(evidence - top[:, None]).mean(axis=1))
        return mixed

    def evidence(self, state: UnitState) -> float:
        """Log e-value of the gate: half on the total, half spread over the segments."""
        return weighted(state.log_weight, self.harm(state))


class UnitBound(msgspec.Struct, frozen=True):
    """PASS on units: is it excluded that the canary's mean is worse by a margin or more?

    As :class:`UnitEvalue`, on the other side of each margin and with V = max(V_b, deff · V_score): V_b knows little
    while few of the canary's units have come back or rare large values are still to come; the pooled spread, inflated
    by the dependence seen in the baseline, knows both. For rates V is at least what it would be at the margin itself:
    without that, a canary would pass on its first requests, for want of errors in either arm.

    Parameters
    ----------
    margins : each > 0; relative to the baseline's mean (< 1 when lower is worse), or differences of rates (< 1).
    worse : direction of harm.
    relative : as for :class:`UnitEvalue`.
    prior_rate : the rate expected before anything was seen, when not relative.
    alpha : of PASS; it tunes the bound, the caller compares the evidence with log(1/alpha).

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> gate = UnitBound(margins=(0.001, 0.3), relative=False)
    >>> rng, state = np.random.default_rng(1), gate.start()
    >>> for _ in range(40):
    ...     n = rng.multinomial(50, np.full(200, 1 / 200), size=2).astype(float)
    ...     k = rng.binomial(n.astype(int), 0.02).astype(float)
    ...     batch = UnitBatch.of_counts(np.array([1]), n_b=n[:1], k_b=k[:1], n_c=n[1:], k_c=k[1:])
    ...     state = gate.observe(state, batch)
    >>> (gate.excluded(state)[1] > np.log(20)).tolist()
    [False, True]
    """

    NAME: ClassVar[str] = "unit-bound"
    VERSION: ClassVar[int] = 1

    margins: tuple[float, ...]
    worse: Worse = "higher"
    relative: bool = True
    prior_rate: float = 0.01
    alpha: float = 0.05

    def __post_init__(self) -> None:
        limit = inf if self.relative and self.worse == "higher" else 1.0
        if not self.margins or not all(0.0 < margin < limit for margin in self.margins):
            raise ValueError(f"UnitBound: margins must be within (0, {limit}), found {self.margins}")
        if not 0.0 < self.prior_rate < 1.0:
            raise ValueError(f"UnitBound: prior_rate must be within (0, 1), found {self.prior_rate}")
        if not 0.0 < self.alpha < 0.5:
            raise ValueError(f"UnitBound: alpha must be within (0, 0.5), found {self.alpha}")

    def start(self) -> UnitBoundState:
        """Nothing known."""
        return UnitBoundState(_start(start_past()), start_sums())

    def restart(self, state: UnitBoundState) -> UnitBoundState:
        """No evidence since the last step, with all else kept."""
        return UnitBoundState(state.known, start_sums(state.known.mean.size))

    def observe(self, state: UnitBoundState, batch: UnitBatch) -> UnitBoundState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        known = _observed(state.known, batch, None if self.relative else self.prior_rate)
        recent = grown_sums(state.recent, known.mean.size)
        pairs = batch.take(batch.paired & ~np.isnan(known.mean[batch.rows]))
        return UnitBoundState(known, add(recent, pairs) if pairs.rows.size else recent)

    def excluded(self, state: UnitBoundState, *, recent: bool = False) -> Floats:
        """[R, G] log evidence against each margin, 0 before the first of a row; ``recent``: since the last step."""
        known = state.known
        of = msgspec.structs.replace(known, sums=state.recent) if recent else known
        margins = np.array(self.margins)
        found = _against(of, margins, self.worse, self.relative)
        inflated = design_effect(known.sums)[:, None]
        v = np.maximum(found.v_b, inflated * found.v_score)
        if not self.relative:
            v = np.maximum(v, inflated * self._at_the_margin(of))
        v = np.maximum(v, _rounding(of))
        size = np.abs(np.nan_to_num(known.mean, nan=1.0))[:, None] if self.relative else np.ones((v.shape[0], 1))
        return _evidence(-found.s, v, of.sums.w, _rho(margins * size, self.alpha))

    def _at_the_margin(self, state: UnitState) -> Floats:
        """[R, G] V if the canary's rate were just at the margin."""
        margins = np.array(self.margins) if self.worse == "higher" else -np.array(self.margins)
        base = _rates(state.past, self.prior_rate)[: state.mean.size, None]
        rate = np.clip(base + margins, 0.0, 1.0)
        v: Floats = state.sums.w[:, None] * np.maximum(rate * (1.0 - rate), base * (1.0 - base))
        return v


def _rates(past: Past, prior_rate: float) -> Floats:
    """[R] the baseline's rate, drawn towards a prior."""
    rates: Floats = (past.n * past.mean + PRIOR_REQUESTS * prior_rate) / (past.n + PRIOR_REQUESTS)
    return rates


def _start(past: Past) -> UnitState:
    unknown = np.full(1, np.nan)
    return UnitState(past, start_sums(), unknown, unknown, start_weights())


def _observed(state: UnitState, batch: UnitBatch, prior_rate: float | None) -> UnitState:
    """With the blocks in the sums and in the past; a row's tuning is fixed at its first evidence, by its past."""
    if batch.rows.size == 0:
        return state
    rows = int(batch.rows.max()) + 1
    mean, sd = spread(state.past, rows)
    if prior_rate is not None:
        mean = grown(_rates(state.past, prior_rate), rows, prior_rate)
        sd = np.sqrt(np.maximum(mean * (1.0 - mean), 0.0))
    ready = batch.paired & ~np.isnan(sd[batch.rows])
    total = batch.n_b.sum(axis=1)
    past = learn(state.past, batch.rows, n=total, mean=batch.sum_b.sum(axis=1) / np.maximum(total, 1.0), m2=batch.m2_b)
    sums = grown_sums(state.sums, rows)
    known = [grown(a, rows, np.nan).copy() for a in (state.mean, state.sd)]
    if ready.any():
        pairs = batch.take(ready)
        sums = add(sums, pairs)
        where = np.concatenate([np.zeros(1, dtype=np.int64), pairs.rows])
        first = where[np.isnan(known[0][where])]
        known[0][first], known[1][first] = mean[first], sd[first]
    return UnitState(past, sums, known[0], known[1], grown(state.log_weight, rows, log(0.5)))


def _against(state: UnitState, amounts: Floats, worse: Worse, relative: bool) -> Contrast:
    """The contrast with a baseline that is worse by each amount, harm positive."""
    shape = (state.mean.size, amounts.size)
    if relative:
        scale, shift = scales(worse, amounts, np.nan_to_num(state.mean)), np.zeros(shape)
    else:
        scale, shift = np.ones(shape), np.broadcast_to(amounts if worse == "higher" else -amounts, shape)
    found = contrast(state.sums, scale=scale, shift=shift)
    return found if worse == "higher" else found._replace(s=-found.s)


def _rho(effects: Floats, alpha: float) -> Floats:
    """r = t*/c in intrinsic time of the difference: t* = K² / effect², effects in the metric's unit."""
    rho: Floats = best_rho(1.0, alpha, one_sided=True) * tuned_time(np.maximum(effects, 1e-140), np.ones(1), alpha)
    return rho


def _rounding(state: UnitState) -> Floats:
    """[R, 1] a floor on variances, above what rounding leaves of a metric that never varies."""
    floor: Floats = (state.sums.w * (_CV_MIN * np.nan_to_num(state.mean)) ** 2)[:, None]
    return floor


def _evidence(s: Floats, v: Floats, w: Floats, r: Floats) -> Floats:
    """ln M at s W / V and W² / V; 0 where nothing varies yet."""
    known = v > 0
    precision = np.divide(np.broadcast_to(w[:, None], v.shape), v, out=np.zeros_like(v), where=known)
    return np.where(known, log_mixture_one_sided(s * precision, w[:, None] * precision, r), 0.0)
