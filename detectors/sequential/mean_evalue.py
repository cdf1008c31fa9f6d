"""FAIL for means: is the canary's mean worse than the baseline's by more than the tolerance?"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats, constant
from detectors.batches import MeanBatch
from detectors.sequential.compared import Compared, compare
from detectors.sequential.differences import Worse
from detectors.sequential.onset import Mixture, advance, log_combined, log_evidence, start_mixture, with_rows
from detectors.sequential.past import Past, start_past

EFFECTS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Relative effects that the bets are tuned to."""

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
        return self.advanced(state, compare(state.past, batch, self.worse, (self.tolerance,)))

    def advanced(self, state: MeanEvalueState, compared: Compared) -> MeanEvalueState:
        """The same for a caller that has compared the blocks already: in one column, for the tolerance."""
        batch = compared.batch
        mixture = with_rows(state.mixture, batch.rows, batch.stride)
        ready = compared.take(compared.known)
        rows = ready.pairs.rows
        if rows.size:
            s = ready.found.s if self.worse == "higher" else -ready.found.s
            bets = self._bets(np.abs(compared.mean[rows]), compared.sd[rows])
            spent = np.minimum(bets * np.sqrt(ready.found.v_hc), _SPENT_MAX)
            mixture = advance(mixture, rows, bets * s - 0.5 * spent**2, batch.stride)
        return MeanEvalueState(compared.past, mixture)

    def harm(self, state: MeanEvalueState) -> Floats:
        """[R] log e-value of each row."""
        return log_evidence(state.mixture)

    def evidence(self, state: MeanEvalueState) -> float:
        """Log e-value of the gate."""
        return log_combined(state.mixture)

    def _bets(self, mean: Floats, sd: Floats) -> Floats:
        """λ [m, J], in one over the metric's unit."""
        effects = constant(self.effects)
        tempered = effects / np.minimum(4.0, (1.0 + effects) ** 2)
        bets: Floats = (mean / sd / sd)[:, None] * tempered
        return bets
