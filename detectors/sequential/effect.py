"""The effect, for people: both arms' estimates and their difference with a time-uniform interval."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch
from detectors.rows import placed
from detectors.sequential.differences import Differences, differences
from detectors.sequential.lately import Lately, Stretch, most_telling, start_lately, with_blocks
from detectors.sequential.normal_mixture import best_rho, bound_two_sided
from detectors.sequential.past import grown

_TUNED_WEIGHT: Final = 500.0
_COLUMNS: Final = 7


class Estimate(msgspec.Struct, frozen=True):
    """One row's estimate. Numbers that are undefined are None.

    Parameters
    ----------
    n_baseline, n_canary : requests or values that were compared within blocks.
    baseline, canary : means in the metric's unit (rates as fractions), weighted alike: by information.
    effect, low, high : canary against baseline with its interval; a difference, or relative when asked for.
    lately : the newest stretch, when it shows much more of a difference than all since the start.
    """

    n_baseline: int
    n_canary: int
    baseline: float | None
    canary: float | None
    effect: float | None
    low: float | None
    high: float | None
    lately: Stretch | None = None


class EffectState(msgspec.Struct, frozen=True, eq=False):
    """Sums over blocks.

    Parameters
    ----------
    sums : [R, 7] by row: counts of baseline and canary, information w, w × mean of each arm, and both variances.
    lately : the same over the newest blocks; begins anew in a state that was stored without it.
    """

    sums: Floats
    lately: Lately = msgspec.field(default_factory=lambda: start_lately(_COLUMNS))


class Effect(msgspec.Struct, frozen=True):
    """Differences within blocks, added up with weights n_c n_b / n, so that drift does not look like an effect.

    The weights are those of Mantel and Haenszel (1959). The interval is a two-sided asymptotic confidence sequence
    (Waudby-Smith et al. 2024, eq. 9), right at every look at once, with the larger of two variances; a relative one
    takes the baseline's mean as known and widens by the ratio. It informs; gates decide.

    Parameters
    ----------
    relative : effect as a fraction of the baseline's mean (values) instead of a difference (rates).
    alpha : one minus the interval's coverage, within (0, 1).

    >>> from detectors.summaries.rate import Rate
    >>> from detectors.batches import RateBatch
    >>> effect = Effect()
    >>> state = effect.observe(effect.start(), MeanBatch.of_rates(RateBatch.of([(1, Rate(900, 9), Rate(100, 3))])))
    >>> row = effect.estimate(state, 0)
    >>> row.n_canary, row.baseline, round(row.effect or 0.0, 9)
    (100, 0.01, 0.02)
    >>> effect.estimate(effect.start(), 0).effect is None
    True
    """

    NAME: ClassVar[str] = "effect"
    VERSION: ClassVar[int] = 1

    relative: bool = False
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"Effect: alpha must be within (0, 1), found {self.alpha}")

    def start(self) -> EffectState:
        """Nothing known."""
        return EffectState(np.zeros((1, _COLUMNS)))

    def observe(self, state: EffectState, batch: MeanBatch) -> EffectState:
        """After the blocks that closed at one moment; a block with one arm changes nothing."""
        pairs = batch.take(batch.paired)
        return self.advanced(state, pairs, differences(pairs))

    def advanced(self, state: EffectState, pairs: MeanBatch, compared: Differences) -> EffectState:
        """The same for a caller that has compared the blocks already.

        Parameters
        ----------
        pairs : the blocks with both arms.
        compared : [m] their differences from the baseline as it is.
        """
        if pairs.rows.size == 0:
            return state
        w = compared.weight
        arms = (pairs.n_b, pairs.n_c, w, w * pairs.mean_b, w * pairs.mean_c)
        place = placed(pairs.rows, pairs.stride)
        gain = place.with_sums(np.array((*arms, compared.v_score, compared.v_hc)).T)
        known = grown(state.sums, place.height, 0.0)
        return EffectState(place.plus(known, gain), with_blocks(state.lately, place, gain, len(known)))

    def compared(self, state: EffectState) -> bool:
        """Whether any block had both arms."""
        return bool(state.sums[0, 2] > 0)

    def estimate(self, state: EffectState, row: int) -> Estimate:
        """The estimate of one row; row 0 is the total. A row that was never seen has no numbers."""
        n_b, n_c, w, b, c, v_score, v_hc = state.sums[row].tolist() if row < len(state.sums) else [0.0] * _COLUMNS
        if w <= 0:
            return Estimate(0, 0, None, None, None, None, None)
        baseline, canary, v = b / w, c / w, max(v_score, v_hc)
        r = np.array(best_rho(_TUNED_WEIGHT, self.alpha, one_sided=False))
        half = float(bound_two_sided(np.array(w), self.alpha, r)) * (v / w) ** 0.5 / w
        counts, lately = (round(n_b), round(n_c)), most_telling(state.lately, row, state.sums[row])
        effect = canary - baseline
        if self.relative and baseline != 0.0:
            effect /= abs(baseline)
            half *= max(1.0, abs(canary / baseline)) / abs(baseline)
        if (self.relative and baseline == 0.0) or not isfinite(effect) or not isfinite(half):
            return Estimate(*counts, baseline, canary, None, None, None, lately)
        return Estimate(*counts, baseline, canary, effect, effect - half, effect + half, lately)
