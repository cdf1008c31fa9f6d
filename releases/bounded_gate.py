"""The gate on the mean of values with known limits, such as ratings from 1 to 5: exact, without any variance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from detectors.batches import RateBatch, mean_batch
from detectors.blocks import Block
from detectors.bounded_batches import beyond, bounded_batch
from detectors.sequential.compared_rates import compare_rates
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from releases.margins import Margins
from schemas.metric import Metric

RATIOS = (1.05, 1.1, 1.25, 1.5, 2.0, 3.0)
"""Means lie further inside their limits than error rates, and smaller ratios of odds matter."""


class BoundedKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="bounded"):
    """What the gate knows; ``outside`` once a value has been beyond the limits."""

    fail: Evalue2x2State
    bound: Margin2x2State
    effect: EffectState
    outside: bool = False


class BoundedGate:
    """The 2×2 e-processes on fractional counts (:func:`detectors.bounded_batches.bounded_batch`).

    Tolerance and margin are parts of the range. After one value outside it every answer is not a number: the plan's
    range is wrong, and no clipping makes the mean of what was measured come out.
    """

    detector, detector_version = "bounded-2x2", 1

    def __init__(self, baseline: str, metric: Metric, limits: tuple[float, float], margins: Margins) -> None:
        self._baseline, self._name, self._limits, self._margins = baseline, metric.name, limits, margins
        self._lower = metric.worse == "lower"
        self._fail = Evalue2x2(metric.tolerated, prior_rate=0.5, ratios=RATIOS)
        self._bound, self._effect = Margin2x2(margins.grid, prior_rate=0.5), Effect(relative=True)

    def start(self) -> BoundedKnown:
        return BoundedKnown(self._fail.start(), self._bound.start(), self._effect.start())

    def begin_step(self, known: object) -> BoundedKnown:
        known = _bounded(known)
        return msgspec.structs.replace(known, bound=self._bound.restart(known.bound))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> BoundedKnown:
        known = _bounded(known)
        batch = bounded_batch(blocks, self._name, self._limits, baseline=self._baseline, canary=canary)
        if batch.rows.size == 0:
            return known
        if self._lower:
            batch = RateBatch(
                batch.rows, n_b=batch.n_b, k_b=batch.n_b - batch.k_b, n_c=batch.n_c, k_c=batch.n_c - batch.k_c
            )
        fail, bound = compare_rates(known.fail.past, batch, self._fail, self._bound)
        values = mean_batch(blocks, self._name, baseline=self._baseline, canary=canary)
        return BoundedKnown(
            self._fail.advanced(known.fail, fail),
            self._bound.advanced(known.bound, bound),
            self._effect.observe(known.effect, values),
            known.outside or beyond(blocks, self._name, self._limits, (self._baseline, canary)),
        )

    def evidence(self, known: object) -> float:
        known = _bounded(known)
        return 0.0 if known.outside else self._fail.evidence(known.fail)

    def harm(self, known: object) -> list[float]:
        return [float(value) for value in self._fail.harm(_bounded(known).fail)]

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        known = _bounded(known)
        if known.outside:
            return math.nan
        return float(self._bound.excluded(known.bound, recent=recent)[0][self._margins.column(share_ppm)])

    def compared(self, known: object) -> bool:
        return self._effect.compared(_bounded(known).effect)

    def estimate(self, known: object, row: int) -> Estimate:
        return self._effect.estimate(_bounded(known).effect, row)

    def detail(self, known: object, row: int) -> None:
        return None


def _bounded(known: object) -> BoundedKnown:
    assert isinstance(known, BoundedKnown)
    return known
