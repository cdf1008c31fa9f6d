"""PASS for means: is it excluded that the canary's mean is worse by a margin or more?"""

from __future__ import annotations

from math import inf
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch
from detectors.rows import placed
from detectors.sequential.compared import Compared, compare
from detectors.sequential.differences import Differences, Worse
from detectors.sequential.normal_mixture import best_rho, log_mixture_one_sided, tuned_time
from detectors.sequential.past import Past, grown, start_past

_CV_UNKNOWN: Final = 1.0
"""A total whose segments' means cancel has none of its own. Any r is valid that is fixed before its evidence."""


class MeanBoundState(msgspec.Struct, frozen=True, eq=False):
    """Sums over blocks by row and margin, the baseline's past, and the tuning.

    Parameters
    ----------
    past : of the baseline.
    r : [R, G] the mixture's tuning, fixed at a row's first evidence; NaN before.
    overall, recent : [R, 4, G] on all data and since the last step, sums of weight, s, v_score and v_hc of
        :class:`detectors.sequential.differences.Differences`, harm positive.
    """

    past: Past
    r: Floats
    overall: Floats
    recent: Floats


class MeanBound(msgspec.Struct, frozen=True):
    """The asymptotic confidence sequence as evidence against "harm >= margin", for a grid of margins at once.

    Against a margin Δ the baseline is scaled by 1 + Δ, differences are summed within blocks, and z = S √(W/V) with
    V = max(V_score, V_hc) is compared with time t = W in the one-sided normal mixture. Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas (2024), Annals of Statistics, eq. 134 in the form of its martingale. The larger of the two
    variances is needed: each alone passes harmful canaries, V_score when the canary's spread is larger, V_hc while
    rare large values are still to come.

    Parameters
    ----------
    margins : relative to the baseline's mean, each > 0, and < 1 when lower is worse.
    worse : direction of harm. For "either" both directions must be excluded.
    alpha : of PASS; it tunes the bound, the caller compares the evidence with log(1/alpha).

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> from detectors.summaries.moments import Moments
    >>> gate = MeanBound(margins=(0.05, 0.5))
    >>> state = gate.start()
    >>> for _ in range(20):
    ...     state = gate.observe(state, MeanBatch.of([(1, Moments(10, 1.0, 2.5), Moments(10, 1.0, 2.5))]))
    >>> (gate.excluded(state)[0] > np.log(20)).tolist()
    [False, True]
    """

    NAME: ClassVar[str] = "mean-bound"
    VERSION: ClassVar[int] = 1

    margins: tuple[float, ...]
    worse: Worse = "higher"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        limit = inf if self.worse == "higher" else 1.0
        if not self.margins or not all(0.0 < margin < limit for margin in self.margins):
            raise ValueError(f"MeanBound: margins must be within (0, {limit}), found {self.margins}")
        if not 0.0 < self.alpha < 0.5:
            raise ValueError(f"MeanBound: alpha must be within (0, 0.5), found {self.alpha}")

    def start(self) -> MeanBoundState:
        """Nothing known."""
        margins = len(self.margins)
        nothing = np.zeros((1, 4, margins))
        return MeanBoundState(start_past(), np.full((1, margins), np.nan), nothing, nothing)

    def restart(self, state: MeanBoundState) -> MeanBoundState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, recent=np.zeros_like(state.recent))

    def observe(self, state: MeanBoundState, batch: MeanBatch) -> MeanBoundState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        return self.advanced(state, compare(state.past, batch, self.worse, self.margins))

    def advanced(self, state: MeanBoundState, compared: Compared) -> MeanBoundState:
        """The same for a caller that has compared the blocks already: in a column for each margin."""
        height, pairs = compared.mean.size, compared.pairs
        r = grown(state.r, height, np.nan)
        overall, recent = (grown(sums, height, 0.0) for sums in (state.overall, state.recent))
        ready = compared.take(compared.known & (pairs.n_b + pairs.n_c > 2))
        if ready.pairs.rows.size:
            place = placed(ready.pairs.rows, pairs.stride)
            r = self._tuned(r, place.where, compared.mean, compared.sd)
            overall, recent = place.added(self._signed(ready.found), overall, recent)
        return MeanBoundState(compared.past, r, overall, recent)

    def excluded(self, state: MeanBoundState, *, recent: bool = False) -> Floats:
        """[R, G] log evidence against each margin, 0 before the first of a row; ``recent``: since the last step."""
        w, s, v_score, v_hc = (state.recent if recent else state.overall).swapaxes(0, 1)
        v = np.maximum(v_score, v_hc)
        known = v > 0
        z = -s * np.sqrt(w / np.where(known, v, 1.0))
        evidence = log_mixture_one_sided(z, w, np.where(known, state.r, 1.0))
        return np.where(known, evidence, 0.0)

    def _signed(self, compared: Differences) -> Floats:
        """[m, 4, G] what the blocks add to each sum, harm positive."""
        s = compared.s if self.worse == "higher" else -compared.s
        return np.array((compared.weight, s, compared.v_score, compared.v_hc)).swapaxes(0, 1)

    def _tuned(self, r: Floats, rows: Ints, mean: Floats, sd: Floats) -> Floats:
        """With r set in the rows that get their first evidence, from the baseline's earlier blocks."""
        first = rows[np.isnan(r[rows, 0])]
        if first.size == 0:
            return r
        tuned = r.copy()
        cv = sd[first] / np.abs(mean[first])
        cv = np.where(np.isnan(cv), _CV_UNKNOWN, cv)[:, None]
        time = tuned_time(np.array(self.margins), cv, self.alpha)
        tuned[first] = best_rho(1.0, self.alpha, one_sided=True) * time
        return tuned
