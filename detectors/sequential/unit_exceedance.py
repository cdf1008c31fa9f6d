"""FAIL and PASS for quantiles where a unit is one observation: is the canary's tail heavier than the baseline's?"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats, constant
from detectors.sequential.clustered import ClusteredSums, add, contrast, gain_of, start_sums
from detectors.sequential.compared_units import compare_units
from detectors.sequential.differences import Worse
from detectors.sequential.step_margin import gap_of
from detectors.sequential.threshold import Threshold, learn_threshold, shifted
from detectors.sequential.unit_bound import spread_at
from detectors.sequential.unit_evalue import UnitEvalue, UnitEvalueState
from detectors.sequential.unit_mixture import design_effect, log_evidence, rates_of, totals_of, tuned_rho
from detectors.summaries.log_histogram import LogHistogram, upper_edge
from detectors.unit_batches import UnitBatch

_GAP_MAX: Final = 0.99


class UnitTails(msgspec.Struct, frozen=True, eq=False):
    """The blocks that closed at one moment: which values lie beyond the edges of :meth:`UnitExceedance.edges`.

    Parameters
    ----------
    baseline : all its values of all the blocks, for the threshold.
    near : values beyond the threshold are ones; of the canary, those beyond the threshold with the tolerance.
    far : the same values, of the canary those beyond the threshold with the margin.
    ended_ms : end of the blocks, Unix ms of log time, >= 0 and not before the previous ones'.

    Raises
    ------
    ValueError : when the time is not finite or negative.
    """

    baseline: LogHistogram
    near: UnitBatch
    far: UnitBatch
    ended_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.ended_ms < np.inf:
            raise ValueError(f"UnitTails: ended_ms must be finite and >= 0, found {self.ended_ms}")


class Edges(NamedTuple):
    """Bins beyond whose upper edge values count: the threshold's, and those that are worse by tolerance and margin."""

    threshold: int
    tolerated: int
    far: int


class UnitExceedanceState(msgspec.Struct, frozen=True, eq=False):
    """What is known.

    Parameters
    ----------
    threshold : the baseline's running quantile.
    waited_b, waited_c : values of each arm that came before the first threshold; they are not compared.
    fail : evidence of harm, and what is known of the baseline beyond the threshold.
    gap : what lies between both edges when evidence began, None before: it tunes the mixture.
    overall, recent : sums of all blocks, and of those since the last step; a shift of 1 is what lies between the edges.
    """

    threshold: Threshold
    waited_b: int
    waited_c: int
    fail: UnitEvalueState
    gap: float | None
    overall: ClusteredSums
    recent: ClusteredSums


class UnitExceedance(msgspec.Struct, frozen=True):
    """A quantile, judged by how often its threshold is exceeded, with variances over units.

    As :class:`detectors.sequential.exceedance.Exceedance`: the threshold q is the baseline's quantile in its past, one
    for all segments. FAIL compares "beyond (1 + tolerance) q" of the canary with "beyond q" of the baseline by
    :class:`detectors.sequential.unit_evalue.UnitEvalue`.

    PASS excludes that opening to a share w pushes the quantile of all users beyond (1 + margin) q: the canary's far
    tail against the baseline's tail τ and a gap of (1-w)/w (τ - η), η beyond (1 + margin) q. Gaps of all shares are
    multiples of τ - η, which is fixed before each block, so one sum serves all of them.

    Parameters
    ----------
    level : of the quantile, within (0, 1): 0.99 for p99.
    tolerance, margin : relative to the threshold, 0 <= tolerance < 1 and 0 < margin, < 1 when lower is worse.
    worse : direction of harm. For "either" two gates.
    shares : of the traffic, for which PASS may be asked, each within (0, 1].
    alpha : of PASS; it tunes the bound.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> gate = UnitExceedance(level=0.9, tolerance=0.0, margin=0.5)
    >>> gate.threshold(gate.start()) is None, gate.evidence(gate.start())
    (True, 0.0)
    """

    NAME: ClassVar[str] = "unit-exceedance"
    VERSION: ClassVar[int] = 2

    level: float
    tolerance: float
    margin: float
    worse: Worse = "higher"
    shares: tuple[float, ...] = (1.0,)
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"UnitExceedance: level must be within (0, 1), found {self.level}")
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"UnitExceedance: tolerance must be within [0, 1), found {self.tolerance}")
        if not (self.margin > 0.0 and (self.worse == "higher" or self.margin < 1.0)):
            raise ValueError(f"UnitExceedance: margin must be > 0, and < 1 when lower is worse, found {self.margin}")
        if not self.shares or not all(0.0 < share <= 1.0 for share in self.shares):
            raise ValueError(f"UnitExceedance: shares must be within (0, 1], found {self.shares}")
        if not 0.0 < self.alpha < 0.5:
            raise ValueError(f"UnitExceedance: alpha must be within (0, 0.5), found {self.alpha}")

    @property
    def _rate(self) -> float:
        """The share of the baseline beyond its own quantile."""
        return 1.0 - self.level if self.worse == "higher" else self.level

    @property
    def _fail(self) -> UnitEvalue:
        return _of_exceedances(self._rate)

    def start(self) -> UnitExceedanceState:
        """Nothing known."""
        return UnitExceedanceState(Threshold(), 0, 0, self._fail.start(), None, start_sums(), start_sums())

    def restart(self, state: UnitExceedanceState) -> UnitExceedanceState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, recent=start_sums())

    def edges(self, state: UnitExceedanceState) -> Edges | None:
        """Where the values of the next blocks are counted; None until the threshold is known."""
        index = state.threshold.bin
        if index is None:
            return None
        beyond = shifted(index, self.worse, self.tolerance, outwards=True)
        return Edges(index, beyond, shifted(index, self.worse, self.margin, outwards=False))

    def observe(self, state: UnitExceedanceState, seen: UnitTails) -> UnitExceedanceState:
        """After the blocks that closed at one moment; blocks before the first threshold only teach it."""
        edges = self.edges(state)
        if edges is None:
            n_c = int(seen.near.n_c.sum())
            state = msgspec.structs.replace(
                state, waited_b=state.waited_b + seen.baseline.n, waited_c=state.waited_c + n_c
            )
        elif seen.near.rows.size:
            compared = compare_units(state.fail.known, seen.near, self._rate)
            state = msgspec.structs.replace(state, fail=self._fail.advanced(state.fail, compared))
            if compared.gain is not None:
                pairs = seen.far.take(compared.totals.paired)
                state = self._bounded(state, pairs, self._between(state.threshold, edges.far))
        threshold = learn_threshold(state.threshold, self.level, seen.baseline, seen.ended_ms)
        return msgspec.structs.replace(state, threshold=threshold)

    def harm(self, state: UnitExceedanceState) -> Floats:
        """[R] log e-value of each row."""
        return self._fail.harm(state.fail)

    def evidence(self, state: UnitExceedanceState) -> float:
        """Log e-value of the gate."""
        return self._fail.evidence(state.fail)

    def excluded(self, state: UnitExceedanceState, *, recent: bool = False) -> Floats:
        """[1, shares] log evidence, of the total, against "all users' quantile is worse by the margin" for each."""
        sums = state.recent if recent else state.overall
        between = state.gap or 0.0
        times = np.minimum(self._times(), _GAP_MAX / max(between, 1e-12))
        found = contrast(sums, times, relative=False)
        known = totals_of(state.fail.known, None)
        base, inflated = rates_of(known.past, self._rate)[:, None], design_effect(known)[:, None]
        at_edge = spread_at(base, times * between, sums.w)
        v = np.maximum(found.v_b, inflated * np.maximum(found.v_score, at_edge))
        # An equal canary is better than the null by the gap and by what lies between the edges.
        effect = np.maximum(between * (1.0 + times), 1e-6)
        return log_evidence(-found.s, v, sums.w[:, None], tuned_rho(effect, self.alpha))

    def threshold(self, state: UnitExceedanceState) -> float | None:
        """The threshold now, in the metric's unit; None until there were enough values."""
        return None if state.threshold.bin is None else upper_edge(state.threshold.bin)

    def _times(self) -> Floats:
        """[1, shares] gap of each as a multiple of what lies between the edges."""
        return constant(tuple((1.0 - share) / share for share in self.shares))[None]

    def _between(self, threshold: Threshold, far: int) -> float:
        """What the baseline has between both edges, two standard errors taken off."""
        assert threshold.bin is not None
        source, n = threshold.source, threshold.source.n
        return gap_of(0.5, source.count_between(threshold.bin, far) / n, float(n))

    def _bounded(self, state: UnitExceedanceState, pairs: UnitBatch, between: float) -> UnitExceedanceState:
        """With blocks that have both arms in the sums of PASS."""
        gain = gain_of(pairs, pairs.totals, relative=False, shift_by=between)
        overall, recent = add(state.overall, gain), add(state.recent, gain)
        gap = between if state.gap is None else state.gap
        return msgspec.structs.replace(state, gap=gap, overall=overall, recent=recent)


@lru_cache(maxsize=64)
def _of_exceedances(rate: float) -> UnitEvalue:
    return UnitEvalue(relative=False, prior_rate=rate)
