"""One gate of a plan: its detectors, and what they know of one canary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from detectors.batches import MeanBatch, mean_batch, rate_batch
from detectors.blocks import Block
from detectors.sequential.averaging import log_either
from detectors.sequential.bounds import MeanBound, MeanBoundState
from detectors.sequential.compared import compare
from detectors.sequential.compared_rates import compare_rates
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from detectors.sequential.mean_evalue import MeanEvalue, MeanEvalueState
from releases.bounded_gate import BoundedGate, BoundedKnown
from releases.budget import ALPHA_PASS
from releases.counting import Counts
from releases.joint_gate import JointGate, JointKnown
from releases.margins import Margins, judged_as_ppm
from releases.mix_gate import MixGate, MixKnown
from releases.quantile_gate import QuantileGate, QuantileKnown
from releases.ramps.ramp import stages_of
from releases.unit_gates import (
    UnitGate,
    UnitKnown,
    UnitMixGate,
    UnitMixKnown,
    UnitQuantileGate,
    UnitQuantileKnown,
)
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM


class RateKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="rate"):
    """What a gate on a rate knows: evidence of harm, of its absence, and the effect."""

    fail: Evalue2x2State
    bound: Margin2x2State
    effect: EffectState


class MeanKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="mean"):
    """The same of a gate on a mean, once per direction of harm."""

    fail: tuple[MeanEvalueState, ...]
    bounds: tuple[MeanBoundState, ...]
    effect: EffectState


Known = (
    RateKnown
    | MeanKnown
    | QuantileKnown
    | MixKnown
    | UnitKnown
    | UnitQuantileKnown
    | UnitMixKnown
    | JointKnown
    | BoundedKnown
)


class Gate(Protocol):
    """What the judge asks of a gate, whatever it measures."""

    detector: str
    detector_version: int

    def start(self) -> Known:
        """Nothing known."""
        ...

    def begin_step(self, known: Known) -> Known:
        """The evidence since the last step begins anew."""
        ...

    def observe(self, known: Known, blocks: Sequence[Block], canary: str) -> Known:
        """After the blocks that closed at one moment."""
        ...

    def evidence(self, known: Known) -> float:
        """Logarithm of the gate's e-value against "not worse than tolerated"."""
        ...

    def harm(self, known: Known) -> list[float]:
        """The same of each row: the total, then each segment."""
        ...

    def excluded(self, known: Known, share_ppm: int, *, recent: bool) -> float:
        """Logarithm of the evidence against the harm that must be excluded before the canaries get ``share_ppm``."""
        ...

    def compared(self, known: Known) -> bool:
        """Whether there was anything of both versions: the same as an estimate of the total with counts, for less."""
        ...

    def estimate(self, known: Known, row: int) -> Estimate:
        """Both arms' estimates and the effect with its interval."""
        ...

    def detail(self, known: Known, row: int) -> float | str | None:
        """What the estimate is about: a quantile's threshold in the metric's unit, or the label's value, or nothing."""
        ...


GROUP_SHARES_PPM = tuple(round(2.6 * PPM / 1.25**rung) for rung in range(40))
"""The shares, 25 % apart, that a user group may be asked about (:func:`releases.groups.allotted_ppm`): up to 2.42 with
eight groups."""


@lru_cache(maxsize=256)
def gate_of(plan: Plan, metric: Metric, counts: Counts = "request") -> Gate:
    """The gate that a plan's metric asks for, counting units or requests. Built once per plan: it has no state."""
    shares = {PPM} | {
        min(PPM, s.weight_ppm * k) for s in stages_of(plan.ramp) for k in range(1, len(plan.canaries) + 1)
    }
    if metric.kind == "joint":
        return JointGate(plan.baseline, metric)
    if metric.level is not None:
        asked = tuple(sorted({judged_as_ppm(plan, share_ppm) for share_ppm in shares}))
        return QuantileGate(plan, metric, asked) if counts == "request" else UnitQuantileGate(plan, metric, asked)
    margins = Margins(plan, metric, shares | set(GROUP_SHARES_PPM if plan.ramp.segments else ()))
    if counts == "unit":
        return UnitMixGate(plan, metric, margins) if metric.kind == "mix" else UnitGate(plan, metric, margins)
    if metric.range is not None:
        return BoundedGate(plan.baseline, metric, metric.range, margins)
    if metric.kind == "rate":
        return RateGate(plan.baseline, metric.tolerated, margins)
    if metric.kind == "mix":
        return MixGate(plan.baseline, metric, margins)
    return MeanGate(plan.baseline, metric, margins)


class RateGate:
    """The error rate, by 2×2 e-processes. A block is compared once for FAIL and PASS."""

    detector, detector_version = Evalue2x2.NAME, Evalue2x2.VERSION

    def __init__(self, baseline: str, tolerance: float, margins: Margins) -> None:
        self._baseline, self._margins = baseline, margins
        self._fail, self._bound, self._effect = Evalue2x2(tolerance), Margin2x2(margins.grid), Effect()

    def start(self) -> RateKnown:
        return RateKnown(self._fail.start(), self._bound.start(), self._effect.start())

    def begin_step(self, known: Known) -> RateKnown:
        assert isinstance(known, RateKnown)
        return msgspec.structs.replace(known, bound=self._bound.restart(known.bound))

    def observe(self, known: Known, blocks: Sequence[Block], canary: str) -> RateKnown:
        assert isinstance(known, RateKnown)
        batch = rate_batch(blocks, lambda arm: arm.requests, baseline=self._baseline, canary=canary)
        if batch.rows.size == 0:
            return known
        fail, bound = compare_rates(known.fail.past, batch, self._fail, self._bound)
        return RateKnown(
            self._fail.advanced(known.fail, fail),
            self._bound.advanced(known.bound, bound),
            self._effect.observe(known.effect, MeanBatch.of_rates(batch)),
        )

    def evidence(self, known: Known) -> float:
        assert isinstance(known, RateKnown)
        return self._fail.evidence(known.fail)

    def harm(self, known: Known) -> list[float]:
        assert isinstance(known, RateKnown)
        return [float(value) for value in self._fail.harm(known.fail)]

    def excluded(self, known: Known, share_ppm: int, *, recent: bool) -> float:
        assert isinstance(known, RateKnown)
        return float(self._bound.excluded(known.bound, recent=recent)[0][self._margins.column(share_ppm)])

    def compared(self, known: Known) -> bool:
        assert isinstance(known, RateKnown)
        return self._effect.compared(known.effect)

    def estimate(self, known: Known, row: int) -> Estimate:
        assert isinstance(known, RateKnown)
        return self._effect.estimate(known.effect, row)

    def detail(self, known: Known, row: int) -> None:
        return None


class MeanGate:
    """The mean of a numeric metric, by predictable e-processes and asymptotic confidence sequences."""

    detector, detector_version = MeanEvalue.NAME, MeanEvalue.VERSION

    def __init__(self, baseline: str, metric: Metric, margins: Margins) -> None:
        self._baseline, self._name, self._margins = baseline, metric.name, margins
        self._fail = tuple(MeanEvalue(metric.tolerated, worse) for worse in metric.directions)
        self._bounds = tuple(MeanBound(margins.grid, worse, ALPHA_PASS) for worse in metric.directions)
        self._effect = Effect(relative=True)

    def start(self) -> MeanKnown:
        bounds = tuple(bound.start() for bound in self._bounds)
        return MeanKnown(tuple(gate.start() for gate in self._fail), bounds, self._effect.start())

    def begin_step(self, known: Known) -> MeanKnown:
        assert isinstance(known, MeanKnown)
        bounds = tuple(bound.restart(state) for bound, state in zip(self._bounds, known.bounds, strict=True))
        return msgspec.structs.replace(known, bounds=bounds)

    def observe(self, known: Known, blocks: Sequence[Block], canary: str) -> MeanKnown:
        assert isinstance(known, MeanKnown)
        batch = mean_batch(blocks, self._name, baseline=self._baseline, canary=canary)
        if batch.rows.size == 0:
            return known
        fails, bounds, effect = [], [], None
        for gate, bound, fail_known, bound_known in zip(
            self._fail, self._bounds, known.fail, known.bounds, strict=True
        ):
            amounts = (0.0, gate.tolerance, *bound.margins)
            seen = compare(fail_known.past, batch, gate.worse, amounts)
            fails.append(gate.advanced(fail_known, seen.columns(1, 2)))
            bounds.append(bound.advanced(bound_known, seen.columns(2, len(amounts))))
            effect = effect or self._effect.advanced(known.effect, seen.pairs, seen.as_it_is)
        return MeanKnown(tuple(fails), tuple(bounds), effect or known.effect)

    def evidence(self, known: Known) -> float:
        assert isinstance(known, MeanKnown)
        logs = [gate.evidence(state) for gate, state in zip(self._fail, known.fail, strict=True)]
        return logs[0] if len(logs) == 1 else log_either(logs[0], logs[1])

    def harm(self, known: Known) -> list[float]:
        assert isinstance(known, MeanKnown)
        rows = [gate.harm(state) for gate, state in zip(self._fail, known.fail, strict=True)]
        return [float(max(values)) for values in zip(*rows, strict=True)]

    def excluded(self, known: Known, share_ppm: int, *, recent: bool) -> float:
        assert isinstance(known, MeanKnown)
        column = self._margins.column(share_ppm)
        pairs = zip(self._bounds, known.bounds, strict=True)
        return min(float(bound.excluded(state, recent=recent)[0][column]) for bound, state in pairs)

    def detail(self, known: Known, row: int) -> None:
        return None

    def compared(self, known: Known) -> bool:
        assert isinstance(known, MeanKnown)
        return self._effect.compared(known.effect)

    def estimate(self, known: Known, row: int) -> Estimate:
        assert isinstance(known, MeanKnown)
        return self._effect.estimate(known.effect, row)
