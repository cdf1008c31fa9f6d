"""FAIL and PASS for quantiles: is the canary's tail heavier than the baseline's?"""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch, RateBatch
from detectors.histogram_batches import HistogramBatch
from detectors.sequential.compared_rates import ComparedRates
from detectors.sequential.differences import Worse
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.past_rate import learn_rates
from detectors.sequential.step_margin import (
    Exceedances,
    StepState,
    advanced_step,
    asked_step,
    excluded_step,
    gap_of,
    restart_step,
    start_step,
)
from detectors.sequential.threshold import Threshold, learn_threshold, shifted
from detectors.sequential.two_by_two import log_ratios, tables_of
from detectors.summaries.log_histogram import LogHistogram, upper_edge


class ExceedanceState(msgspec.Struct, frozen=True, eq=False):
    """What is known.

    Parameters
    ----------
    threshold : the baseline's running quantile.
    waited_b, waited_c : values of each arm that came before the first threshold; they are not compared.
    fail, step : evidence of harm, and of its absence.
    effect : how often each arm exceeds the threshold.
    """

    threshold: Threshold
    waited_b: int
    waited_c: int
    fail: Evalue2x2State
    step: StepState
    effect: EffectState


class Exceedance(msgspec.Struct, frozen=True):
    """A quantile, judged by how often its threshold is exceeded.

    The threshold q is the baseline's quantile in its past (:mod:`detectors.sequential.threshold`), one for all
    segments. Within a block, "beyond (1 + tolerance) q" of the canary against "beyond q" of the baseline is a 2×2
    table, so FAIL is :class:`detectors.sequential.evalue_2x2.Evalue2x2`: exact, and drift cancels. PASS excludes that
    opening to a share pushes the quantile of all users beyond (1 + margin) q (:mod:`detectors.sequential.step_margin`).
    Both thresholds lie on edges of bins, where the histograms count exactly. "Beyond" is above when higher is worse,
    and at or below when lower is.

    Turner, Ly and Grünwald (2024), JSPI 230, 106116, eq. 3, for tables of exceedances; a quantile as a rate as in
    Howard and Ramdas (2022), Bernoulli 28.

    Parameters
    ----------
    level : of the quantile, within (0, 1): 0.99 for p99.
    tolerance, margin : relative to the threshold, 0 <= tolerance < 1 and 0 < margin, < 1 when lower is worse.
    worse : direction of harm. For "either" two gates.
    shares : of the traffic, for which PASS may be asked, each within (0, 1].

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> gate = Exceedance(level=0.9, tolerance=0.0, margin=0.5)
    >>> state, values = gate.start(), np.linspace(1.0, 100.0, 1000)
    >>> for second in range(1, 4):
    ...     arms = LogHistogram.of(values), LogHistogram.of(2.0 * values[::10])
    ...     state = gate.observe(state, HistogramBatch.of([(1, *arms)], ended_ms=1000 * second))
    >>> round(gate.threshold(state)), bool(gate.evidence(state) > np.log(20))
    (92, True)
    """

    NAME: ClassVar[str] = "exceedance"
    VERSION: ClassVar[int] = 1

    level: float
    tolerance: float
    margin: float
    worse: Worse = "higher"
    shares: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"Exceedance: level must be within (0, 1), found {self.level}")
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"Exceedance: tolerance must be within [0, 1), found {self.tolerance}")
        if not (self.margin > 0.0 and (self.worse == "higher" or self.margin < 1.0)):
            raise ValueError(f"Exceedance: margin must be > 0, and < 1 when lower is worse, found {self.margin}")
        if not self.shares or not all(0.0 < share <= 1.0 for share in self.shares):
            raise ValueError(f"Exceedance: shares must be within (0, 1], found {self.shares}")

    @property
    def _rate(self) -> float:
        """The share of the baseline beyond its own quantile."""
        return 1.0 - self.level if self.worse == "higher" else self.level

    @property
    def _fail(self) -> Evalue2x2:
        return Evalue2x2(prior_rate=self._rate)

    def start(self) -> ExceedanceState:
        """Nothing known."""
        return ExceedanceState(Threshold(), 0, 0, self._fail.start(), start_step(len(self.shares)), Effect().start())

    def restart(self, state: ExceedanceState) -> ExceedanceState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, step=restart_step(state.step))

    def observe(self, state: ExceedanceState, batch: HistogramBatch) -> ExceedanceState:
        """After the blocks that closed at one moment; blocks before the first threshold only teach it."""
        if batch.rows.size == 0:
            return state
        index = state.threshold.bin
        baseline = LogHistogram.merge_all(batch.baseline)
        if index is None:
            n_c = sum(arm.n for arm in batch.canary)
            state = msgspec.structs.replace(state, waited_b=state.waited_b + baseline.n, waited_c=state.waited_c + n_c)
        else:
            beyond = shifted(index, self.worse, self.tolerance, outwards=True)
            far = shifted(index, self.worse, self.margin, outwards=False)
            of_baseline, of_canary = batch.beyond((index, beyond, far), self.worse)
            (n_b, k_b, _, far_b), (n_c, k_c, beyond_c, far_c) = of_baseline, of_canary
            seen = Exceedances(batch.rows, n_b, n_c, k_b, far_b, far_c, self._gaps(state.threshold, index, far))
            tolerated = RateBatch.checked(batch.rows, n_b, k_b, n_c, beyond_c)
            pairs, past = tolerated.pairs, state.fail.past
            harm = tables_of(pairs), self._fail.alternatives(past, pairs.rows)
            log_e, gain = log_ratios([harm, asked_step(state.step, seen, prior_rate=self._rate)])
            learned = learn_rates(past, batch.rows, n=n_b, k=k_b)
            as_is = RateBatch.checked(batch.rows, n_b, k_b, n_c, k_c)
            state = msgspec.structs.replace(
                state,
                fail=self._fail.advanced(state.fail, ComparedRates(tolerated, pairs.rows, log_e, learned)),
                step=advanced_step(state.step, seen, learned, gain),
                effect=Effect().observe(state.effect, MeanBatch.of_rates(as_is)),
            )
        return msgspec.structs.replace(
            state, threshold=learn_threshold(state.threshold, self.level, baseline, batch.ended_ms)
        )

    def harm(self, state: ExceedanceState) -> Floats:
        """[R] log e-value of each row."""
        return self._fail.harm(state.fail)

    def evidence(self, state: ExceedanceState) -> float:
        """Log e-value of the gate."""
        return self._fail.evidence(state.fail)

    def excluded(self, state: ExceedanceState, *, recent: bool = False) -> Floats:
        """[R, G] log evidence against "all users' quantile is worse by the margin" for each share."""
        return excluded_step(state.step, recent=recent)

    def compared(self, state: ExceedanceState) -> bool:
        """Whether there was anything of both arms, be it only to learn from."""
        if state.threshold.bin is None:
            return min(state.waited_b, state.waited_c) > 0
        return Effect().compared(state.effect)

    def estimate(self, state: ExceedanceState, row: int) -> Estimate:
        """Both arms' shares beyond the threshold, and their difference; before one, how many values came."""
        if state.threshold.bin is None and row == 0:
            return Estimate(state.waited_b, state.waited_c, None, None, None, None, None)
        return Effect().estimate(state.effect, row)

    def threshold(self, state: ExceedanceState) -> float | None:
        """The threshold now, in the metric's unit; None until there were enough values."""
        return None if state.threshold.bin is None else upper_edge(state.threshold.bin)

    def _gaps(self, threshold: Threshold, index: int, far: int) -> Floats:
        source, n = threshold.source, threshold.source.n
        between = source.count_between(index, far) / n
        return np.array([gap_of(share, between, float(n)) for share in self.shares])
