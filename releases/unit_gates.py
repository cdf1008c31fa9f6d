"""Gates that count units: one user's requests are dependent, and variances are taken over users."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.arrays import Floats
from detectors.batches import MeanBatch, RateBatch, mean_batch, rate_batch
from detectors.blocks import Block
from detectors.histogram_batches import HistogramBatch, histogram_batch
from detectors.sequential.averaging import log_either
from detectors.sequential.compared_units import compare_units
from detectors.sequential.differences import Worse
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.unit_bound import UnitBound, UnitBoundState
from detectors.sequential.unit_evalue import UnitEvalue, UnitEvalueState
from detectors.sequential.unit_exceedance import Edges, UnitExceedance, UnitExceedanceState, UnitTails
from detectors.sequential.unit_mix import UnitMix
from detectors.sequential.unit_mix_state import UnitMixState
from detectors.sequential.unit_mixture import Known, design_effect
from detectors.summaries.log_histogram import LogHistogram
from detectors.unit_batches import UnitBatch, unit_exceedance_batches, unit_mean_batch, unit_rate_batch
from detectors.unit_label_batches import unit_labels
from detectors.unit_strays import bucket_of_strays, with_strays
from releases.budget import ALPHA_PASS
from releases.margins import Margins, judged_column
from releases.quantile_gate import NO_MARGIN
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM


class UnitKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="unit"):
    """What a gate on a rate or a mean knows: evidence of harm for each direction, of its absence, and the effect."""

    fail: tuple[UnitEvalueState, ...]
    bound: UnitBoundState
    effect: EffectState


class UnitQuantileKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="unit-quantile"):
    """The same of a gate on a quantile; bound and harm are of one detector for each direction."""

    sides: tuple[UnitExceedanceState, ...]
    effect: EffectState


class UnitMixKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="unit-mix"):
    """What a gate on an output mix knows."""

    mix: UnitMixState


class UnitGate:
    """A rate or a mean."""

    detector, detector_version = UnitEvalue.NAME, UnitEvalue.VERSION

    def __init__(self, plan: Plan, metric: Metric, margins: Margins) -> None:
        self._baseline, self._metric, self._margins = plan.baseline, metric, margins
        relative = metric.kind != "rate"
        self._fail = tuple(
            UnitEvalue(tolerance=metric.tolerated, worse=worse, relative=relative) for worse in metric.directions
        )
        self._bound = UnitBound(margins.grid, worse=metric.worse, relative=relative, alpha=ALPHA_PASS)
        self._effect = Effect(relative=relative)

    def start(self) -> UnitKnown:
        return UnitKnown(tuple(side.start() for side in self._fail), self._bound.start(), self._effect.start())

    def begin_step(self, known: object) -> UnitKnown:
        assert isinstance(known, UnitKnown)
        return msgspec.structs.replace(known, bound=self._bound.restart(known.bound))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> UnitKnown:
        assert isinstance(known, UnitKnown)
        whole = self._whole(blocks, canary)
        batch = with_strays(self._by_unit(blocks, canary), whole, bucket_of_strays(_ended_ms(blocks)))
        seen = compare_units(known.bound.known, batch, self._bound.prior)
        return UnitKnown(
            tuple(side.advanced(state, seen) for side, state in zip(self._fail, known.fail, strict=True)),
            self._bound.advanced(known.bound, seen),
            self._effect.observe(known.effect, whole),
        )

    def evidence(self, known: object) -> float:
        assert isinstance(known, UnitKnown)
        return _either([side.evidence(state) for side, state in zip(self._fail, known.fail, strict=True)])

    def harm(self, known: object) -> list[float]:
        assert isinstance(known, UnitKnown)
        return _most([side.harm(state) for side, state in zip(self._fail, known.fail, strict=True)])

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        assert isinstance(known, UnitKnown)
        return float(self._bound.excluded(known.bound, recent=recent)[0][self._margins.column(share_ppm)])

    def compared(self, known: object) -> bool:
        assert isinstance(known, UnitKnown)
        return self._effect.compared(known.effect)

    def estimate(self, known: object, row: int) -> Estimate:
        assert isinstance(known, UnitKnown)
        return widened(self._effect.estimate(known.effect, row), known.bound.known, row)

    def detail(self, known: object, row: int) -> None:
        return None

    def _by_unit(self, blocks: Sequence[Block], canary: str) -> UnitBatch:
        if self._metric.kind == "rate":
            return unit_rate_batch(blocks, baseline=self._baseline, canary=canary)
        return unit_mean_batch(blocks, self._metric.name, baseline=self._baseline, canary=canary)

    def _whole(self, blocks: Sequence[Block], canary: str) -> MeanBatch:
        if self._metric.kind == "rate":
            rates = rate_batch(blocks, lambda arm: arm.requests, baseline=self._baseline, canary=canary)
            return MeanBatch.of_rates(rates)
        return mean_batch(blocks, self._metric.name, baseline=self._baseline, canary=canary)


class UnitQuantileGate:
    """A quantile.

    Parameters
    ----------
    plan, metric : whose quantile; ``metric.level`` is set.
    shares_ppm : ascending, the last is 1,000,000: of all canaries together, as which a step may be judged.
    """

    detector, detector_version = UnitExceedance.NAME, UnitExceedance.VERSION

    def __init__(self, plan: Plan, metric: Metric, shares_ppm: tuple[int, ...]) -> None:
        self._plan, self._baseline, self._name, self._shares_ppm = plan, plan.baseline, metric.name, shares_ppm
        self._sides = tuple(
            UnitExceedance(
                level=metric.level or 0.5,
                tolerance=metric.tolerated,
                margin=float(metric.margin or NO_MARGIN),
                worse=worse,
                shares=tuple(share_ppm / PPM for share_ppm in shares_ppm),
                alpha=ALPHA_PASS,
            )
            for worse in metric.directions
        )

    def start(self) -> UnitQuantileKnown:
        return UnitQuantileKnown(tuple(side.start() for side in self._sides), Effect().start())

    def begin_step(self, known: object) -> UnitQuantileKnown:
        assert isinstance(known, UnitQuantileKnown)
        return msgspec.structs.replace(
            known, sides=tuple(side.restart(state) for side, state in zip(self._sides, known.sides, strict=True))
        )

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> UnitQuantileKnown:
        assert isinstance(known, UnitQuantileKnown)
        whole = histogram_batch(blocks, self._name, baseline=self._baseline, canary=canary)
        effect, states = known.effect, []
        for index, (side, state) in enumerate(zip(self._sides, known.sides, strict=True)):
            edges = side.edges(state)
            seen, as_it_is = self._tails(whole, blocks, canary, side.worse, edges or Edges(0, 0, 0))
            if index == 0 and edges is not None:
                effect = Effect().observe(effect, as_it_is)
            states.append(side.observe(state, seen))
        return UnitQuantileKnown(tuple(states), effect)

    def _tails(
        self, whole: HistogramBatch, blocks: Sequence[Block], canary: str, worse: Worse, edges: Edges
    ) -> tuple[UnitTails, MeanBatch]:
        """What lies beyond the edges by unit, and beyond the threshold in both arms."""
        at, *beyond = edges
        by_unit = unit_exceedance_batches(
            blocks, self._name, edge_b=at, edges_c=tuple(beyond), baseline=self._baseline, canary=canary
        )
        (n_b, k_b, *_), (n_c, *counts) = whole.beyond(edges, worse)
        as_it_is, near, far = (MeanBatch.of_rates(RateBatch.checked(whole.rows, n_b, k_b, n_c, k_c)) for k_c in counts)
        stray = bucket_of_strays(whole.ended_ms)
        near_units, far_units = (
            with_strays(_below(batch) if worse == "lower" else batch, all_of_them, stray)
            for batch, all_of_them in zip(by_unit, (near, far), strict=True)
        )
        return UnitTails(LogHistogram.merge_all(whole.baseline), near_units, far_units, whole.ended_ms), as_it_is

    def evidence(self, known: object) -> float:
        return _either([side.evidence(state) for side, state in self._pairs(known)])

    def harm(self, known: object) -> list[float]:
        return _most([side.harm(state) for side, state in self._pairs(known)])

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        column = judged_column(self._plan, self._shares_ppm, share_ppm)
        return min(float(side.excluded(state, recent=recent)[0][column]) for side, state in self._pairs(known))

    def compared(self, known: object) -> bool:
        assert isinstance(known, UnitQuantileKnown)
        first = known.sides[0]
        if first.threshold.bin is None:
            return min(first.waited_b, first.waited_c) > 0
        return Effect().compared(known.effect)

    def estimate(self, known: object, row: int) -> Estimate:
        assert isinstance(known, UnitQuantileKnown)
        first = known.sides[0]
        if first.threshold.bin is None and row == 0:
            return Estimate(first.waited_b, first.waited_c, None, None, None, None, None)
        return widened(Effect().estimate(known.effect, row), first.fail.known, row)

    def detail(self, known: object, row: int) -> float | None:
        side, state = self._pairs(known)[0]
        return side.threshold(state)

    def _pairs(self, known: object) -> list[tuple[UnitExceedance, UnitExceedanceState]]:
        assert isinstance(known, UnitQuantileKnown)
        return list(zip(self._sides, known.sides, strict=True))


class UnitMixGate:
    """The shares of a label's values."""

    detector, detector_version = UnitMix.NAME, UnitMix.VERSION

    def __init__(self, plan: Plan, metric: Metric, margins: Margins) -> None:
        self._baseline, self._label, self._margins = plan.baseline, metric.name.removeprefix("labels."), margins
        self._mix = UnitMix(metric.tolerated, margins.grid, ALPHA_PASS)

    def start(self) -> UnitMixKnown:
        return UnitMixKnown(self._mix.start())

    def begin_step(self, known: object) -> UnitMixKnown:
        return UnitMixKnown(self._mix.restart(_mix(known)))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> UnitMixKnown:
        seen = unit_labels(blocks, self._label, baseline=self._baseline, canary=canary)
        return UnitMixKnown(self._mix.observe(_mix(known), seen))

    def evidence(self, known: object) -> float:
        return self._mix.evidence(_mix(known))

    def harm(self, known: object) -> list[float]:
        return [float(value) for value in self._mix.harm(_mix(known))]

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        return float(self._mix.excluded(_mix(known), recent=recent)[0][self._margins.column(share_ppm)])

    def compared(self, known: object) -> bool:
        return self._mix.compared(_mix(known))

    def estimate(self, known: object, row: int) -> Estimate:
        return self._mix.estimate(_mix(known), row)

    def detail(self, known: object, row: int) -> str | None:
        return self._mix.named(_mix(known), row)


def _below(above: UnitBatch) -> UnitBatch:
    """What is not above is below; counts of zeros and ones vary as much."""
    return msgspec.structs.replace(above, sum_b=above.n_b - above.sum_b, sum_c=above.n_c - above.sum_c)


def widened(estimate: Estimate, known: Known, row: int) -> Estimate:
    """The estimate, its interval as much wider as the baseline's units are dependent."""
    if estimate.effect is None or estimate.low is None or estimate.high is None or row >= known.phi_sq.size:
        return estimate
    factor = float(design_effect(known)[row]) ** 0.5
    low, high = (estimate.effect + (end - estimate.effect) * factor for end in (estimate.low, estimate.high))
    return msgspec.structs.replace(estimate, low=low, high=high)


def _either(logs: list[float]) -> float:
    return logs[0] if len(logs) == 1 else log_either(logs[0], logs[1])


def _most(rows: list[Floats]) -> list[float]:
    return [float(max(values)) for values in zip(*rows, strict=True)]


def _ended_ms(blocks: Sequence[Block]) -> int:
    return max(block.ended_ms for block in blocks)


def _mix(known: object) -> UnitMixState:
    assert isinstance(known, UnitMixKnown)
    return known.mix
