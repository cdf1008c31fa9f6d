"""The ramp that grows by the same amount every so often: y = m x + b, in steps."""

from __future__ import annotations

from releases.ramps.stage import Stage
from schemas.ramp import Linear

STEPS_AT_MOST = 20
"""More steps would only cost decisions: the traffic's own noise is larger than a twentieth of the way."""

HOLD_MS_AT_LEAST = 1_000
"""Routers follow a change within a second; a shorter step would be over before anybody has taken it."""


def linear_stages(ramp: Linear) -> tuple[Stage, ...]:
    """Equal steps from ``from`` to ``to``, the time ``over`` divided equally between them.

    The first stage has exactly the share ``from`` and the last exactly ``to``. There are at most 20 stages, fewer when
    a step would be shorter than a second or smaller than one part per million; at least two.

    >>> from schemas.units import Duration, Share
    >>> ramp = Linear(from_=Share(10_000), to=Share(50_000), over=Duration(4_000))
    >>> [(s.weight_ppm, s.hold_ms) for s in linear_stages(ramp)]
    [(10000, 1000), (23333, 1000), (36667, 1000), (50000, 1000)]
    """
    low, high, over_ms = int(ramp.from_), int(ramp.to), int(ramp.over)
    count = max(2, min(STEPS_AT_MOST, over_ms // HOLD_MS_AT_LEAST, high - low + 1))
    hold_ms = max(HOLD_MS_AT_LEAST, over_ms // count)
    rise = (high - low) / (count - 1)
    return tuple(Stage(weight_ppm=low + round(rise * i), hold_ms=hold_ms) for i in range(count))
