"""The ramp whose share grows as fast as the evidence allows."""

from __future__ import annotations

from releases.ramps.stage import Stage
from schemas.ramp import Adaptive

RUNG_FACTOR = 1.5
"""Shares come on a ladder, so that the margins that they ask for can be followed from the start."""

LEAP_FACTOR_MAX = 5
"""The share is at most this many times the one before: what only larger shares show must be seen on the way."""


LEARNING_PPM_MAX = 200_000
"""Beyond this share of the traffic the canaries go when the margins of the promotion have been excluded.

With a share w of the traffic a request of the canary tells 1 - w of what it tells beside a baseline without end, so at
one half it takes twice as many of them to find harm as at a small share, and they come in with w: evidence grows with
w (1 - w) a second. A fifth has 64 % of the speed of one half, at 62 % of its requests for the same evidence.
"""


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


def within_reach(ramp: Adaptive, *, opened: int, present_ppm: int, canaries: int) -> tuple[Stage, ...]:
    """The rungs that may be next, ascending: the one above, and those that are not too far a leap; none at the top.

    None is beyond :data:`LEARNING_PPM_MAX` before the highest within it has been taken.

    Parameters
    ----------
    opened : rungs that are open or leapt over, >= 1.
    present_ppm : share of the canary that is furthest.
    canaries : how many have the ramp's share.
    """
    above = adaptive_stages(ramp)[opened:]
    near = above[:1] + tuple(rung for rung in above[1:] if rung.weight_ppm <= LEAP_FACTOR_MAX * present_ppm)
    return tuple(rung for rung in near if rung.weight_ppm * canaries <= LEARNING_PPM_MAX) or near


def fastest_way(ramp: Adaptive, canaries: int = 1) -> tuple[Stage, ...]:
    """The rungs of a ramp that is never held up: each as far above the one before as it may be.

    Parameters
    ----------
    canaries : how many have the ramp's share.

    >>> from schemas.units import Duration, Share
    >>> ramp = Adaptive(from_=Share(10_000), to=Share(500_000), harm_budget=50, hold=Duration(60_000))
    >>> [s.weight_ppm for s in fastest_way(ramp)]
    [10000, 33750, 113906, 170859, 500000]
    """
    rungs = adaptive_stages(ramp)
    way, opened = [rungs[0]], 1
    while reach := within_reach(ramp, opened=opened, present_ppm=way[-1].weight_ppm, canaries=canaries):
        opened += len(reach)
        way.append(reach[-1])
    return tuple(way)
