"""One gate of a plan: its detectors, and what they know of one canary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Protocol

import msgspec

from detectors.batches import MeanBatch, RateBatch, mean_batch, rate_batch
from detectors.blocks import Block
from detectors.sequential.averaging import log_either
from detectors.sequential.bounds import MeanBound, MeanBoundState
from detectors.sequential.differences import Worse
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from detectors.sequential.mean_evalue import MeanEvalue, MeanEvalueState
from releases.budget import ALPHA_PASS
from releases.quantile_gate import QuantileGate, QuantileKnown
from releases.ramps.ramp import stages_of
from schemas.plan import Metric, Plan
from schemas.units import PPM

MARGIN_MAX = 0.99
"""A degradation of 100 % or more cannot be excluded by any gate; early steps ask for this at most."""


class RateKnown(msgspec.Struct, frozen=True, eq=False, tag="rate"):
    """What a gate on a rate knows: evidence of harm, of its absence (overall and since the last step), the effect."""

    fail: Evalue2x2State
    overall: Margin2x2State
    recent: Margin2x2State
    effect: EffectState


class MeanKnown(msgspec.Struct, frozen=True, eq=False, tag="mean"):
    """The same of a gate on a mean, once per direction of harm."""

    fail: tuple[MeanEvalueState, ...]
    overall: tuple[MeanBoundState, ...]
    recent: tuple[MeanBoundState, ...]
    effect: EffectState


Known = RateKnown | MeanKnown | QuantileKnown


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

    def estimate(self, known: Known, row: int) -> Estimate:
        """Both arms' estimates and the effect with its interval."""
        ...

    def threshold(self, known: Known) -> float | None:
        """What the arms are compared at, in the metric's unit: the baseline's quantile; None where there is none."""
        ...


def margin_at(plan: Plan, metric: Metric, share_ppm: int) -> float:
    """The degradation that must be excluded before the canaries' share may become ``share_ppm``.

    The plan's margin says how much worse all users together may fare; with a share w of them on the canary that allows
    margin / w there. ``advance: strict`` asks for the full margin at every step. A quantile's margin stays what it is,
    since its gate asks about the quantile of all users together (:mod:`detectors.sequential.step_margin`).

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> plan = parse_plan(EXAMPLE, file="plan.yaml")
    >>> margin_at(plan, plan.metrics[0], 500_000)
    0.01
    """
    margin = float(metric.margin or 0.0)
    if plan.advance == "population" and metric.level is None:
        margin *= PPM / share_ppm
    return min(margin, MARGIN_MAX)


@lru_cache(maxsize=256)
def gate_of(plan: Plan, metric: Metric) -> Gate:
    """The gate that a plan's metric asks for. Built once per plan: it has no state."""
    shares = {PPM} | {
        min(PPM, s.weight_ppm * k) for s in stages_of(plan.ramp) for k in range(1, len(plan.canaries) + 1)
    }
    if metric.level is not None:
        return QuantileGate(plan, metric, tuple(sorted(shares if plan.advance == "population" else {PPM})))
    margins = Margins(tuple(sorted({margin_at(plan, metric, share) for share in shares})), plan, metric)
    if metric.kind == "rate":
        return RateGate(plan.baseline, metric.tolerated, margins)
    directions: tuple[Worse, ...] = ("higher", "lower") if metric.worse == "either" else (metric.worse,)
    return MeanGate(plan.baseline, metric, margins, directions)


class Margins:
    """The grid of margins that a plan can ask for, and which of them a share asks for."""

    def __init__(self, grid: tuple[float, ...], plan: Plan, metric: Metric) -> None:
        self.grid = grid
        self._asked: Callable[[int], float] = partial(margin_at, plan, metric)

    def column(self, share_ppm: int) -> int:
        """The largest margin of the grid that is not above the one asked for: never a laxer one."""
        asked = self._asked(share_ppm)
        return max(sum(1 for known in self.grid if known <= asked * (1 + 1e-9)) - 1, 0)


class RateGate:
    """The error rate, by 2×2 e-processes."""

    detector, detector_version = Evalue2x2.NAME, Evalue2x2.VERSION

    def __init__(self, baseline: str, tolerance: float, margins: Margins) -> None:
        self._baseline, self._margins = baseline, margins
        self._fail, self._pass, self._effect = Evalue2x2(tolerance), Margin2x2(margins.grid), Effect()

    def start(self) -> RateKnown:
        return RateKnown(self._fail.start(), self._pass.start(), self._pass.start(), self._effect.start())

    def begin_step(self, known: Known) -> RateKnown:
        assert isinstance(known, RateKnown)
        return msgspec.structs.replace(known, recent=self._pass.restart(known.recent))

    def observe(self, known: Known, blocks: Sequence[Block], canary: str) -> RateKnown:
        assert isinstance(known, RateKnown)
        batch: RateBatch = rate_batch(blocks, lambda arm: arm.requests, baseline=self._baseline, canary=canary)
        return RateKnown(
            self._fail.observe(known.fail, batch),
            self._pass.observe(known.overall, batch),
            self._pass.observe(known.recent, batch),
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
        state = known.recent if recent else known.overall
        return float(self._pass.excluded(state)[0][self._margins.column(share_ppm)])

    def estimate(self, known: Known, row: int) -> Estimate:
        assert isinstance(known, RateKnown)
        return self._effect.estimate(known.effect, row)

    def threshold(self, known: Known) -> None:
        return None


class MeanGate:
    """The mean of a numeric metric, by predictable e-processes and asymptotic confidence sequences."""

    detector, detector_version = MeanEvalue.NAME, MeanEvalue.VERSION

    def __init__(self, baseline: str, metric: Metric, margins: Margins, worse: tuple[Worse, ...]) -> None:
        self._baseline, self._name, self._margins = baseline, metric.name, margins
        self._fail = tuple(MeanEvalue(metric.tolerated, direction) for direction in worse)
        self._pass = tuple(MeanBound(margins.grid, direction, ALPHA_PASS) for direction in worse)
        self._effect = Effect(relative=True)

    def start(self) -> MeanKnown:
        nothing = tuple(bound.start() for bound in self._pass)
        return MeanKnown(tuple(gate.start() for gate in self._fail), nothing, nothing, self._effect.start())

    def begin_step(self, known: Known) -> MeanKnown:
        assert isinstance(known, MeanKnown)
        recent = tuple(bound.restart(state) for bound, state in zip(self._pass, known.recent, strict=True))
        return msgspec.structs.replace(known, recent=recent)

    def observe(self, known: Known, blocks: Sequence[Block], canary: str) -> MeanKnown:
        assert isinstance(known, MeanKnown)
        batch = mean_batch(blocks, self._name, baseline=self._baseline, canary=canary)
        return MeanKnown(
            tuple(gate.observe(state, batch) for gate, state in zip(self._fail, known.fail, strict=True)),
            tuple(bound.observe(state, batch) for bound, state in zip(self._pass, known.overall, strict=True)),
            tuple(bound.observe(state, batch) for bound, state in zip(self._pass, known.recent, strict=True)),
            self._effect.observe(known.effect, batch),
        )

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
        states = known.recent if recent else known.overall
        column = self._margins.column(share_ppm)
        return min(float(b.excluded(s)[0][column]) for b, s in zip(self._pass, states, strict=True))

    def threshold(self, known: Known) -> None:
        return None

    def estimate(self, known: Known, row: int) -> Estimate:
        assert isinstance(known, MeanKnown)
        return self._effect.estimate(known.effect, row)
