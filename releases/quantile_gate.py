"""The gate on a quantile: p50, p95 or p99 of a numeric metric."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.blocks import Block
from detectors.histogram_batches import histogram_batch
from detectors.sequential.averaging import log_either
from detectors.sequential.effect import Estimate
from detectors.sequential.exceedance import Exceedance, ExceedanceState
from releases.margins import judged_column
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM

NO_MARGIN = 0.99
"""A metric that only holds or observes needs a margin for its bound; this one is never asked for."""


class QuantileKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="quantile"):
    """What a gate on a quantile knows, once per direction of harm."""

    sides: tuple[ExceedanceState, ...]


class QuantileGate:
    """A quantile, by exceedances of the baseline's past one.

    Parameters
    ----------
    plan, metric : whose quantile; ``metric.level`` is set.
    shares_ppm : ascending, the last is 1,000,000: of all canaries together, as which a step may be judged.
    """

    detector, detector_version = Exceedance.NAME, Exceedance.VERSION

    def __init__(self, plan: Plan, metric: Metric, shares_ppm: tuple[int, ...]) -> None:
        shares = tuple(share_ppm / PPM for share_ppm in shares_ppm)
        margin = float(metric.margin or NO_MARGIN)
        self._plan, self._baseline, self._name, self._shares_ppm = plan, plan.baseline, metric.name, shares_ppm
        self._sides = tuple(
            Exceedance(level=metric.level or 0.5, tolerance=metric.tolerated, margin=margin, worse=worse, shares=shares)
            for worse in metric.directions
        )

    def start(self) -> QuantileKnown:
        return QuantileKnown(tuple(side.start() for side in self._sides))

    def begin_step(self, known: object) -> QuantileKnown:
        return QuantileKnown(tuple(side.restart(state) for side, state in self._pairs(known)))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> QuantileKnown:
        batch = histogram_batch(blocks, self._name, baseline=self._baseline, canary=canary)
        return QuantileKnown(tuple(side.observe(state, batch) for side, state in self._pairs(known)))

    def evidence(self, known: object) -> float:
        logs = [side.evidence(state) for side, state in self._pairs(known)]
        return logs[0] if len(logs) == 1 else log_either(logs[0], logs[1])

    def harm(self, known: object) -> list[float]:
        rows = [side.harm(state) for side, state in self._pairs(known)]
        return [float(max(values)) for values in zip(*rows, strict=True)]

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        column = judged_column(self._plan, self._shares_ppm, share_ppm)
        return min(float(side.excluded(state, recent=recent)[0][column]) for side, state in self._pairs(known))

    def compared(self, known: object) -> bool:
        side, state = self._pairs(known)[0]
        return side.compared(state)

    def estimate(self, known: object, row: int) -> Estimate:
        side, state = self._pairs(known)[0]
        return side.estimate(state, row)

    def detail(self, known: object, row: int) -> float | None:
        side, state = self._pairs(known)[0]
        return side.threshold(state)

    def _pairs(self, known: object) -> list[tuple[Exceedance, ExceedanceState]]:
        assert isinstance(known, QuantileKnown)
        return list(zip(self._sides, known.sides, strict=True))
