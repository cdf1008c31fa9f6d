"""FAIL for means: is the canary's mean worse than the baseline's by more than the tolerance?"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch
from detectors.sequential.differences import Worse, differences, scales
from detectors.sequential.onset import Mixture, advance, log_combined, log_evidence, start_mixture, with_rows
from detectors.sequential.past import Past, grown, learn, start_past

EFFECTS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Relative effects that the bets are tuned to."""

PAST_MIN: Final = 20.0
"""Values of the baseline before the first bet: a standard deviation from fewer can ruin every bet for good."""

_CV_OF_A_CONSTANT: Final = 0.1
_CV_MIN: Final = 1e-9
_MEAN_MIN: Final = 1e-100
_SPENT_MAX: Final = 1e140
"""λ √V is cut here so that its square is a number; no gain comes near it."""


class MeanEvalueState(msgspec.Struct, frozen=True, eq=False):
    """The baseline's past and the evidence, by row."""

    past: Past
    mixture: Mixture


class MeanEvalue(msgspec.Struct, frozen=True):
    """The predictable e-process for means, with the sandwich variance.

    A block's e-value for effect g is exp(λ S - λ² V / 2), with S and V of
    :func:`detectors.sequential.differences.differences` and λ = g m̂ / (σ̂² min(4, (1+g)²)), m̂ and σ̂ of the
    baseline's earlier blocks. The baseline is scaled by 1 + tolerance first, so that the null's edge is a comparison
    of equals. An asymptotic e-process (self-normalised as in de la Peña 1999, Annals of Probability 27). With a
    pooled variance in place of V it would roll back 11 % of healthy releases on skewed data at a share of 1 %.

    Parameters
    ----------
    tolerance : relative harm that is none, within [0, 1).
    worse : direction of harm. For "either" average two gates (:func:`detectors.sequential.averaging.log_either`).
    effects : relative, each > 0.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> from detectors.summaries.moments import Moments
    >>> gate = MeanEvalue()
    >>> state = gate.start()
    >>> for _ in range(30):
    ...     state = gate.observe(state, MeanBatch.of([(1, Moments(10, 1.0, 2.5), Moments(10, 1.5, 2.5))]))
    >>> bool(gate.harm(state)[0] > np.log(20))
    True
    """

    NAME: ClassVar[str] = "mean-evalue"
    VERSION: ClassVar[int] = 1

    tolerance: float = 0.0
    worse: Worse = "higher"
    effects: tuple[float, ...] = EFFECTS

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"MeanEvalue: tolerance must be within [0, 1), found {self.tolerance}")
        if not self.effects or min(self.effects) <= 0.0:
            raise ValueError(f"MeanEvalue: effects must be > 0, found {self.effects}")

    def start(self) -> MeanEvalueState:
        """Nothing known."""
        return MeanEvalueState(start_past(), start_mixture(len(self.effects)))

    def observe(self, state: MeanEvalueState, batch: MeanBatch) -> MeanEvalueState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        height = int(batch.rows.max()) + 1
        mean, sd = spread(state.past, height)
        ready = batch.paired & ~np.isnan(sd[batch.rows])
        mixture = with_rows(state.mixture, batch.rows, batch.stride)
        if ready.any():
            pairs = batch.take(ready)
            m, sigma = mean[pairs.rows], sd[pairs.rows]
            compared = differences(pairs, scales(self.worse, np.array([self.tolerance]), m))
            s = compared.s if self.worse == "higher" else -compared.s
            bets = self._bets(np.abs(m), sigma)
            spent = np.minimum(bets * np.sqrt(compared.v_hc), _SPENT_MAX)
            mixture = advance(mixture, pairs.rows, bets * s - 0.5 * spent**2, batch.stride)
        return MeanEvalueState(learn_means(state.past, batch), mixture)

    def harm(self, state: MeanEvalueState) -> Floats:
        """[R] log e-value of each row."""
        return log_evidence(state.mixture)

    def evidence(self, state: MeanEvalueState) -> float:
        """Log e-value of the gate."""
        return log_combined(state.mixture)

    def _bets(self, mean: Floats, sd: Floats) -> Floats:
        """λ [m, J], in one over the metric's unit."""
        effects = np.array(self.effects)
        tempered = effects / np.minimum(4.0, (1.0 + effects) ** 2)
        bets: Floats = (mean / sd / sd)[:, None] * tempered
        return bets


def learn_means(past: Past, batch: MeanBatch) -> Past:
    """The past with the baseline's arm of a batch in it."""
    return learn(past, batch.rows, n=batch.n_b, mean=batch.mean_b, m2=batch.m2_b, stride=batch.stride)


def spread(past: Past, rows: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the baseline's past; the latter NaN with fewer than PAST_MIN values.

    A constant baseline counts as one with a coefficient of variation of 0.1, so that a canary that leaves it is
    seen. A mean of zero leaves nothing for a relative effect to be relative to: NaN.
    """
    n, mean, m2 = (grown(a, rows, 0.0) for a in (past.n, past.mean, past.m2))
    magnitude = np.abs(mean)
    sd = np.sqrt(m2 / np.maximum(n, 1.0))
    sd = np.where(sd > _CV_MIN * magnitude, sd, _CV_OF_A_CONSTANT * magnitude)
    return mean, np.where((n >= PAST_MIN) & (magnitude > _MEAN_MIN), sd, np.nan)
