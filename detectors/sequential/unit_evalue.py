"""FAIL where a unit is one observation: rates, exceedances and means of dependent requests."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

import msgspec

from detectors.arrays import Floats, Ints, constant
from detectors.sequential.clustered import Gain
from detectors.sequential.compared_units import ComparedUnits, compare_units
from detectors.sequential.differences import Worse, changes
from detectors.sequential.row_weights import (
    newest_by_group,
    shared_out,
    shared_out_by_group,
    start_weights,
    weighted,
    weighted_by_group,
)
from detectors.sequential.unit_mixture import Known, log_mean_evidence, start_known
from detectors.sequential.unit_starts import (
    SPANS,
    Evidence,
    Moment,
    Starts,
    advance_starts,
    grown_starts,
    log_worth,
    start_starts,
)
from detectors.unit_batches import UnitBatch

EFFECTS: Final = (0.05, 0.2, 0.8)
"""Effects, in standard deviations of a value, that the mixtures are tuned to."""


class UnitEvalueState(msgspec.Struct, frozen=True, eq=False):
    """What is known of the baseline, the sums since each start, and [R] the rows' log weights in the gate's e-value."""

    known: Known
    starts: Starts
    log_weight: Floats


class UnitEvalue(msgspec.Struct, frozen=True):
    """FAIL on units: is the canary's mean worse than the baseline's by more than the tolerance?

    S of :mod:`detectors.sequential.clustered` in the one-sided normal mixture with s = S W / V at intrinsic time
    v = W² / V, the inverse variance of S / W; V = max(V_b, deff · V_score) as in PASS. The e-value is the mean over
    mixtures tuned to different effects, and over starts (:mod:`detectors.sequential.unit_starts`). An asymptotic
    e-process: Waudby-Smith et al. (2024), Annals of Statistics, eq. 134 as a martingale.

    A canary that a tolerance away equals the baseline is the edge of the null: means are scaled by 1 + tolerance,
    rates (``relative=False``) are shifted by it.

    Parameters
    ----------
    tolerance : harm that is none, within [0, 1): relative to the baseline's mean, or a difference of rates.
    worse : direction of harm.
    relative : tolerance relative to the baseline's mean (values), or a difference (zeros and ones).
    prior_rate : the rate expected before anything was seen, when not relative.
    effects : in standard deviations of a value, each > 0.
    spans : of late starts, in moments, even and ascending; none: only the first start.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> import numpy as np
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
    VERSION: ClassVar[int] = 3

    tolerance: float = 0.0
    worse: Worse = "higher"
    relative: bool = True
    prior_rate: float = 0.01
    effects: tuple[float, ...] = EFFECTS
    spans: tuple[int, ...] = SPANS

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"UnitEvalue: tolerance must be within [0, 1), found {self.tolerance}")
        if not 0.0 < self.prior_rate < 1.0:
            raise ValueError(f"UnitEvalue: prior_rate must be within (0, 1), found {self.prior_rate}")
        if not self.effects or min(self.effects) <= 0.0:
            raise ValueError(f"UnitEvalue: effects must be > 0, found {self.effects}")
        if any(span < 2 or span % 2 for span in self.spans):
            raise ValueError(f"UnitEvalue: spans must be even and >= 2, found {self.spans}")

    @property
    def prior(self) -> float | None:
        """The rate expected before anything was seen; None of values that are no zeros and ones."""
        return None if self.relative else self.prior_rate

    def start(self) -> UnitEvalueState:
        """Nothing known."""
        return UnitEvalueState(start_known(), start_starts(self.spans), start_weights())

    def observe(self, state: UnitEvalueState, batch: UnitBatch) -> UnitEvalueState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0:
            return state
        return self.advanced(state, compare_units(state.known, batch, self.prior))

    def advanced(self, state: UnitEvalueState, compared: ComparedUnits) -> UnitEvalueState:
        """The same for a caller that has compared the blocks already."""
        batch, known, gain = compared.batch, compared.known, compared.gain
        weights = self._weights(state, batch.rows, batch.stride)
        starts = grown_starts(state.starts, self.spans, weights.size)
        if gain is not None:
            moment = self._harmful(gain, gain.place.taken(known.mean))
            starts = advance_starts(starts, self.spans, gain.place, moment, self._evidence(known))
        return UnitEvalueState(known, starts, weights)

    def harm(self, state: UnitEvalueState) -> Floats:
        """[R] log e-value of each row; 0 before the first evidence."""
        return log_worth(state.starts, self._evidence(state.known))

    def evidence(self, state: UnitEvalueState) -> float:
        """Log e-value of the gate: half on the total, half spread over the segments."""
        return weighted(state.log_weight, self.harm(state))

    def by_group(self, state: UnitEvalueState, stride: int) -> Floats:
        """[R / stride] the same of each group of rows."""
        return weighted_by_group(state.log_weight, self.harm(state), stride)

    def _weights(self, state: UnitEvalueState, rows: Ints, stride: int | None) -> Floats:
        """With those of segments that appear."""
        if stride is None:
            new = int(rows.max()) + 1 > state.log_weight.size
            return shared_out(state.log_weight, self.harm(state), int(rows.max()) + 1) if new else state.log_weight
        newest = newest_by_group(state.log_weight, rows, stride)
        if not newest.size:
            return state.log_weight
        return shared_out_by_group(state.log_weight, self.harm(state), newest, stride)

    def _harmful(self, gain: Gain, mean: Floats) -> Moment:
        """What blocks add, against the baseline at the edge of what is tolerated; harm is positive."""
        sign = 1.0 if self.worse == "higher" else -1.0
        amount = constant((sign * self.tolerance,))
        change = changes(amount, mean) if self.relative else amount[None]
        scale = 1.0 + change[:, 0] if self.relative else 1.0
        psi = sign * (gain.psi[:, 0] - change * gain.psi[:, 1])
        return Moment(psi, gain.w, gain.score[:, 0] + scale * scale * gain.score[:, 1])

    def _evidence(self, known: Known) -> Evidence:
        """What sums of each row are worth: the mean over the effects."""
        return partial(log_mean_evidence, known, self.effects)
