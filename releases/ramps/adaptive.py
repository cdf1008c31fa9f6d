"""The ramp whose share grows as fast as the evidence allows."""

from __future__ import annotations

from releases.ramps.stage import Stage
from schemas.ramp import Adaptive

RUNG_FACTOR = 1.5
"""Shares come on a ladder, so that the margins that they ask for can be followed from the start."""

LEAP_FACTOR_MAX = 5
"""The share is at most this many times the one before: what only larger shares show must be seen on the way."""


def adaptive_stages(ramp: Adaptive) -> tuple[Stage, ...]:
    """The ladder of shares that the ramp may take, ``from``, 1.5 × ``from``, …, ``to``; rungs may be leapt over.

    >>> from schemas.units import Duration, Share
    >>> ramp = Adaptive(from_=Share(10_000), to=Share(50_000), harm_budget=50, hold=Duration(60_000))
    >>> [s.weight_ppm for s in adaptive_stages(ramp)]
    [10000, 15000, 22500, 33750, 50000]
    """
    weights = [int(ramp.from_)]
    exact = float(ramp.from_)
    while weights[-1] < ramp.to:
        exact = max(exact * RUNG_FACTOR, weights[-1] + 1.0)
        weights.append(min(int(ramp.to), round(exact)))
    return tuple(Stage(weight_ppm=weight, hold_ms=int(ramp.hold)) for weight in weights)


def within_reach(ramp: Adaptive, *, opened: int, present_ppm: int) -> tuple[Stage, ...]:
    """The rungs that may be next, ascending: the one above, and those that are not too far a leap; none at the top.

    Parameters
    ----------
    opened : rungs that are open or leapt over, >= 1.
    present_ppm : share of the canary that is furthest.
    """
    above = adaptive_stages(ramp)[opened:]
    return above[:1] + tuple(rung for rung in above[1:] if rung.weight_ppm <= LEAP_FACTOR_MAX * present_ppm)


def fastest_way(ramp: Adaptive) -> tuple[Stage, ...]:
    """The rungs of a ramp that is never held up: each as far above the one before as it may be.

    >>> from schemas.units import Duration, Share
    >>> ramp = Adaptive(from_=Share(10_000), to=Share(500_000), harm_budget=50, hold=Duration(60_000))
    >>> [s.weight_ppm for s in fastest_way(ramp)]
    [10000, 33750, 113906, 500000]
    """
    rungs = adaptive_stages(ramp)
    way, opened = [rungs[0]], 1
    while reach := within_reach(ramp, opened=opened, present_ppm=way[-1].weight_ppm):
        opened += len(reach)
        way.append(reach[-1])
    return tuple(way)
