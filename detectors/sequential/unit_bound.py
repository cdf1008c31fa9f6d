"""PASS where a unit is one observation: rates and means of dependent requests."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Final, Literal

import msgspec
import numpy as np

from detectors.arrays import Floats, constant
from detectors.sequential.clustered import (
    ClusteredSums,
    Contrast,
    add,
    contrast,
    grown_sums,
    start_sums,
)
from detectors.sequential.compared_units import ComparedUnits, compare_units
from detectors.sequential.differences import Worse, changes
from detectors.sequential.unit_mixture import (
    Known,
    design_effect,
    log_evidence,
    or_else,
    rates_of,
    rounding,
    start_known,
    totals_of,
    tuned_rho,
)
from detectors.unit_batches import UnitBatch

_SIGNS: Final = {"higher": (1.0,), "lower": (-1.0,), "either": (1.0, -1.0)}
"""Of the change of the baseline that a canary may not reach."""


class UnitBoundState(msgspec.Struct, frozen=True, eq=False):
    """What is known of the baseline by row, and of totals the sums of all blocks and of those since the last step."""

    known: Known
    overall: ClusteredSums
    recent: ClusteredSums


class UnitBound(msgspec.Struct, frozen=True):
    """PASS on units: is it excluded that the canary's mean is worse by a margin or more?

    As :class:`detectors.sequential.unit_evalue.UnitEvalue`, on the other side of each margin and with
    V = max(V_b, deff · V_score): V_b knows little while few of the canary's units have come back or rare large values
    are still to come; the pooled spread, inflated by the dependence seen in the baseline, knows both. For rates V is
    at least what it would be at the margin itself: without that, a canary would pass on its first requests, for want
    of errors in either arm.

    Parameters
    ----------
    margins : each > 0; relative to the baseline's mean (< 1 unless higher is worse), or differences of rates (< 1).
    worse : direction of harm; "either" excludes both.
    relative : margins relative to the baseline's mean (values), or differences (zeros and ones).
    prior_rate : the rate expected before anything was seen, when not relative.
    alpha : of PASS; it tunes the bound, the caller compares the evidence with log(1/alpha).

    A verdict asks for the total alone, and each row would hold sums over all buckets: segments are summed.

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
    >>> (gate.excluded(state)[0] > np.log(20)).tolist()
    [False, True]
    """

    NAME: ClassVar[str] = "unit-bound"
    VERSION: ClassVar[int] = 2

    margins: tuple[float, ...]
    worse: Worse | Literal["either"] = "higher"
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

    @property
    def prior(self) -> float | None:
        """As of :class:`detectors.sequential.unit_evalue.UnitEvalue`."""
        return None if self.relative else self.prior_rate

    def start(self) -> UnitBoundState:
        """Nothing known."""
        return UnitBoundState(start_known(), start_sums(), start_sums())

    def restart(self, state: UnitBoundState) -> UnitBoundState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, recent=start_sums(state.overall.w.size))

    def observe(self, state: UnitBoundState, batch: UnitBatch) -> UnitBoundState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        return self.advanced(state, compare_units(state.known, batch, self.prior))

    def advanced(self, state: UnitBoundState, compared: ComparedUnits) -> UnitBoundState:
        """The same for a caller that has compared the blocks already."""
        known, gain, stride = compared.known, compared.gain, compared.batch.stride
        groups = 1 if stride is None else -(-known.mean.size // stride)
        overall, recent = grown_sums(state.overall, groups), grown_sums(state.recent, groups)
        if gain is not None:
            overall, recent = add(overall, gain), add(recent, gain)
        return UnitBoundState(known, overall, recent)

    def excluded(self, state: UnitBoundState, *, recent: bool = False, stride: int | None = None) -> Floats:
        """[G, margins] log evidence of each group's total against each margin, 0 before its first.

        Parameters
        ----------
        recent : of the blocks since the last step.
        stride : rows of a group (:mod:`detectors.rows`); None when there is one.
        """
        known, sums = totals_of(state.known, stride), state.recent if recent else state.overall
        groups, w = sums.w.size, sums.w[:, None]
        signs = _SIGNS[self.worse]
        amounts = constant(tuple(sign * margin for sign in signs for margin in self.margins))
        found = self._against(sums, known.mean, amounts)
        inflated = design_effect(known)[:, None]
        v = np.maximum(found.v_b, inflated * found.v_score)
        if not self.relative:
            # If the canary's rate were just at the margin.
            base = rates_of(known.past, self.prior_rate)[:, None]
            v = np.maximum(v, inflated * spread_at(base, amounts, sums.w))
        v = np.maximum(v, w * rounding(known.mean)[:, None])
        size = np.abs(or_else(known.mean, 1.0))[:, None] if self.relative else np.ones((groups, 1))
        evidence = log_evidence(-np.sign(amounts) * found.s, v, w, tuned_rho(np.abs(amounts) * size, self.alpha))
        least: Floats = np.minimum.reduce(evidence.reshape(groups, len(signs), -1), axis=1)
        return least

    def _against(self, sums: ClusteredSums, mean: Floats, amounts: Floats) -> Contrast:
        """The contrast with a baseline that is changed by each amount, which is relative to its mean [G] or is not."""
        change = changes(amounts, or_else(mean, 0.0)) if self.relative else amounts[None]
        return contrast(sums, change, relative=self.relative)


def spread_at(base: Floats, gap: Floats, w: Floats) -> Floats:
    """W max θ(1-θ) over the baseline's rate [G, 1] and that rate with a gap, [G, A] or [A]."""
    rate = np.clip(base + gap, 0.0, 1.0)
    v: Floats = w[:, None] * np.maximum(rate * (1.0 - rate), base * (1.0 - base))
    return v
