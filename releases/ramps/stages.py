"""The ramp that is written out step by step."""

from __future__ import annotations

from releases.ramps.stage import Stage
from schemas.ramp import Stages


def fixed_stages(ramp: Stages) -> tuple[Stage, ...]:
    """The stages as the plan lists them.

    >>> from schemas.ramp import Step
    >>> from schemas.units import Duration, Share
    >>> fixed_stages(Stages(steps=(Step(weight=Share(50_000), hold=Duration(60_000)),)))
    (Stage(weight_ppm=50000, hold_ms=60000),)
    """
    return tuple(Stage(weight_ppm=int(step.weight), hold_ms=int(step.hold)) for step in ramp.steps)
