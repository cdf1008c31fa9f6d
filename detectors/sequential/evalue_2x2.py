"""FAIL for rates: is the canary's rate higher than the baseline's by more than the tolerance?"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints, constant
from detectors.batches import RateBatch
from detectors.sequential.compared_rates import ComparedRates, compare_rates
from detectors.sequential.onset import Mixture, advance, log_combined, log_evidence, start_mixture, with_rows
from detectors.sequential.past_rate import PastRate, rate_of, start_rate
from detectors.sequential.two_by_two import Alternatives, odds_times

RATIOS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


class Evalue2x2State(msgspec.Struct, frozen=True, eq=False):
    """The baseline's past and the evidence, by row."""

    past: PastRate
    mixture: Mixture


class Evalue2x2(msgspec.Struct, frozen=True):
    """The 2×2 e-process with a tolerance.

    A block's e-value for ratio r is the likelihood of its table under (θ_b, θ_c) over that at the nearest point of
    the null p_c <= p_b + tolerance, where θ_b is the baseline's rate in earlier blocks and θ_c has r times the odds of
    θ_b + tolerance. (Of θ_b alone, all alternatives would lie inside the tolerance of a service that hardly ever fails,
    and a canary that always fails would never be found.)
    It is exact: its mean is at most 1 for any common rate in each block, so drift cancels, and requests need only
    be independent within a block.

    Turner, Ly and Grünwald (2024), JSPI 230, 106116, eq. 3; the projection for a tolerance is
    :func:`detectors.sequential.two_by_two.nearest_null`.

    Parameters
    ----------
    tolerance : difference of rates that is no harm, within [0, 1).
    prior_rate : the rate expected before anything was seen, within (0, 1).
    ratios : of odds, each > 1.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> from detectors.summaries.rate import Rate
    >>> gate = Evalue2x2()
    >>> state = gate.start()
    >>> for _ in range(40):
    ...     state = gate.observe(state, RateBatch.of([(1, Rate(95, 1), Rate(5, 1))]))
    >>> bool(gate.harm(state)[0] > np.log(20)), gate.evidence(gate.start())
    (True, 0.0)
    """

    NAME: ClassVar[str] = "evalue-2x2"
    VERSION: ClassVar[int] = 1

    tolerance: float = 0.0
    prior_rate: float = 0.01
    ratios: tuple[float, ...] = RATIOS

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"Evalue2x2: tolerance must be within [0, 1), found {self.tolerance}")
        if not 0.0 < self.prior_rate < 1.0:
            raise ValueError(f"Evalue2x2: prior_rate must be within (0, 1), found {self.prior_rate}")
        if not self.ratios or min(self.ratios) <= 1.0:
            raise ValueError(f"Evalue2x2: ratios must be > 1, found {self.ratios}")

    def start(self) -> Evalue2x2State:
        """Nothing known."""
        return Evalue2x2State(start_rate(), start_mixture(len(self.ratios)))

    def observe(self, state: Evalue2x2State, batch: RateBatch) -> Evalue2x2State:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        return self.advanced(state, *compare_rates(state.past, batch, self))

    def alternatives(self, past: PastRate, rows: Ints) -> Alternatives:
        """[m, J] of blocks in some rows, each θ_c beyond the edge of the null."""
        rate = rate_of(past, rows, self.prior_rate)
        theta_b = np.minimum(rate, 1.0 - self.tolerance - 1e-6 * (1.0 - self.tolerance))
        theta_c = odds_times(theta_b + self.tolerance, constant(self.ratios))
        gap = constant((self.tolerance,) * len(self.ratios))
        return Alternatives(theta_b.repeat(gap.size).reshape(theta_c.shape), theta_c, gap)

    def advanced(self, state: Evalue2x2State, compared: ComparedRates) -> Evalue2x2State:
        """The same for a caller that has compared the blocks already."""
        batch = compared.batch
        mixture = with_rows(state.mixture, batch.rows, batch.stride)
        return Evalue2x2State(compared.past, advance(mixture, compared.rows, compared.log_e, batch.stride))

    def harm(self, state: Evalue2x2State) -> Floats:
        """[R] log e-value of each row."""
        return log_evidence(state.mixture)

    def evidence(self, state: Evalue2x2State) -> float:
        """Log e-value of the gate."""
        return log_combined(state.mixture)
