"""The ramp that multiplies its share by a factor every so often."""

from __future__ import annotations

from releases.ramps.stage import Stage
from schemas.ramp import Exponential


def exponential_stages(ramp: Exponential) -> tuple[Stage, ...]:
    """Shares ``from``, ``from × factor``, ``from × factor²``, …, at last exactly ``to``; each held for ``every``.

    Every stage is at least one part per million above the one before, whatever the rounding. The number of stages is
    bounded: the smallest factor that a plan may have is 1.01, the widest way goes from 1 ppm to the whole.

    >>> from schemas.units import Duration, Share
    >>> ramp = Exponential(from_=Share(10_000), to=Share(50_000), factor=2, every=Duration(60_000))
    >>> [s.weight_ppm for s in exponential_stages(ramp)]
    [10000, 20000, 40000, 50000]
    """
    hold_ms, end_ppm = int(ramp.every), int(ramp.to)
    weights = [int(ramp.from_)]
    exact = float(ramp.from_)
    while weights[-1] < end_ppm:
        exact = max(exact * ramp.factor, weights[-1] + 1.0)
        weights.append(min(end_ppm, round(exact)))
    return tuple(Stage(weight_ppm=weight, hold_ms=hold_ms) for weight in weights)
