"""PASS for rates: is it excluded that the canary's rate is higher by a margin or more?"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints, constant
from detectors.batches import RateBatch
from detectors.rows import height_of, placed
from detectors.sequential.compared_rates import ComparedRates, compare_rates
from detectors.sequential.past import grown
from detectors.sequential.past_rate import PastRate, rate_of, start_rate
from detectors.sequential.two_by_two import Alternatives, odds_times

RATIOS: Final = (0.7, 1.0, 1.3)


class Margin2x2State(msgspec.Struct, frozen=True, eq=False):
    """The baseline's past, and the log e-values against each margin, on all data and since the last step: [R, G, J]."""

    past: PastRate
    overall: Floats
    recent: Floats


class Margin2x2(msgspec.Struct, frozen=True):
    """The 2×2 e-process whose null is p_c >= p_b + margin, for a grid of margins at once.

    The alternatives are canaries that are a little better, equal and a little worse; one that reaches the margin is
    off. An e-value of 1/α_pass excludes the margin. A whole release needs every gate, so a harmful gate passes
    falsely with at most α_pass and α_pass is not split. Over blocks of differing p_c - p_b the null is about their
    average: the log of a block's mean e-value is concave in p_c.

    Turner, Ly and Grünwald (2024), JSPI 230, 106116, eq. 3, with the null on the other side.

    Parameters
    ----------
    margins : differences of rates, each within (0, 1). A margin of 1 or more is excluded by definition; ask for .99.
    prior_rate : the rate expected before anything was seen, within (0, 1).

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> from detectors.summaries.rate import Rate
    >>> gate = Margin2x2(margins=(0.01, 0.2))
    >>> state = gate.start()
    >>> for _ in range(10):
    ...     state = gate.observe(state, RateBatch.of([(1, Rate(50, 0), Rate(50, 1))]))
    >>> (gate.excluded(state)[0] > np.log(20)).tolist()
    [False, True]
    """

    NAME: ClassVar[str] = "margin-2x2"
    VERSION: ClassVar[int] = 1

    margins: tuple[float, ...]
    prior_rate: float = 0.01

    def __post_init__(self) -> None:
        if not self.margins or not all(0.0 < margin < 1.0 for margin in self.margins):
            raise ValueError(f"Margin2x2: margins must be within (0, 1), found {self.margins}")
        if not 0.0 < self.prior_rate < 1.0:
            raise ValueError(f"Margin2x2: prior_rate must be within (0, 1), found {self.prior_rate}")

    def start(self) -> Margin2x2State:
        """Nothing known."""
        nothing = np.zeros((1, len(self.margins), len(RATIOS)))
        return Margin2x2State(start_rate(), nothing, nothing)

    def restart(self, state: Margin2x2State) -> Margin2x2State:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, recent=np.zeros_like(state.recent))

    def observe(self, state: Margin2x2State, batch: RateBatch) -> Margin2x2State:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        return self.advanced(state, *compare_rates(state.past, batch, self))

    def alternatives(self, past: PastRate, rows: Ints) -> Alternatives:
        """[m, G J] of blocks in some rows: for each margin its alternatives, none beyond it."""
        rate = rate_of(past, rows, self.prior_rate)
        gap = constant(self.margins).repeat(len(RATIOS))
        theta_c = odds_times(rate, constant(RATIOS * len(self.margins)))
        theta_b = rate.repeat(gap.size).reshape(theta_c.shape)
        return Alternatives(theta_b, np.minimum(theta_c, theta_b + gap), gap)

    def advanced(self, state: Margin2x2State, compared: ComparedRates) -> Margin2x2State:
        """The same for a caller that has compared the blocks already."""
        batch, rows = compared.batch, compared.rows
        height = height_of(batch.rows)
        overall, recent = grown(state.overall, height, 0.0), grown(state.recent, height, 0.0)
        if rows.size:
            gain = compared.log_e.reshape(-1, len(self.margins), len(RATIOS))
            overall, recent = placed(rows, batch.stride).added(gain, overall, recent)
        return Margin2x2State(compared.past, overall, recent)

    def excluded(self, state: Margin2x2State, *, recent: bool = False) -> Floats:
        """[R, G] log e-value against each margin, averaged over the alternatives; ``recent``: since the last step."""
        log_c = state.recent if recent else state.overall
        top = np.maximum.reduce(log_c, axis=2)
        evidence: Floats = top + np.log(np.add.reduce(np.exp(log_c - top[:, :, None]), axis=2) / len(RATIOS))
        return evidence
