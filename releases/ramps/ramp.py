"""One way from any ramp of a plan to its stages."""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

from releases.ramps.adaptive import adaptive_stages
from releases.ramps.exponential import exponential_stages
from releases.ramps.linear import linear_stages
from releases.ramps.stage import Stage
from releases.ramps.stages import fixed_stages
from schemas.ramp import Adaptive, Exponential, Linear, Ramp, Stages


@lru_cache(maxsize=256)
def stages_of(ramp: Ramp) -> tuple[Stage, ...]:
    """The stages of a plan's ramp, weights strictly growing, at least one.

    Remembered, since the machine asks several times a second.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> [s.weight_ppm for s in stages_of(parse_plan(EXAMPLE).ramp)]
    [10000, 500000]
    """
    match ramp:
        case Stages():
            return fixed_stages(ramp)
        case Linear():
            return linear_stages(ramp)
        case Exponential():
            return exponential_stages(ramp)
        case Adaptive():
            return adaptive_stages(ramp)
        case _:
            assert_never(ramp)
