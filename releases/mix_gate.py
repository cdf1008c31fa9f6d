"""The gate on an output mix: the values of a label."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.blocks import Block
from detectors.label_batches import label_batch
from detectors.sequential.effect import Estimate
from detectors.sequential.label_mix import LabelMix, LabelMixState
from releases.margins import Margins
from schemas.metric import Metric


class MixKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="mix"):
    """What a gate on an output mix knows."""

    mix: LabelMixState


class MixGate:
    """The shares of a label's values, each of which may neither rise nor fall by too many points."""

    detector, detector_version = LabelMix.NAME, LabelMix.VERSION

    def __init__(self, baseline: str, metric: Metric, margins: Margins) -> None:
        self._baseline, self._label, self._margins = baseline, metric.name.removeprefix("labels."), margins
        self._mix = LabelMix(metric.tolerated, margins.grid)

    def start(self) -> MixKnown:
        return MixKnown(self._mix.start())

    def begin_step(self, known: object) -> MixKnown:
        return MixKnown(self._mix.restart(_mix(known)))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> MixKnown:
        batch = label_batch(blocks, self._label, baseline=self._baseline, canary=canary)
        return MixKnown(self._mix.observe(_mix(known), batch))

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


def _mix(known: object) -> LabelMixState:
    assert isinstance(known, MixKnown)
    return known.mix
