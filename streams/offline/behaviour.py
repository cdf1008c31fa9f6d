"""How a version answers: the scenario's baseline, and what its changes make of it at each moment in each segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from detectors.arrays import Flags, Floats, Ints
from schemas.metric import DELAY
from streams.offline.changes import Change, Effect
from streams.offline.distributions import Quantity


@dataclass(slots=True)
class Moment:
    """When and where some requests are answered, and how strong each change is then.

    Parameters
    ----------
    at_ms : since the start of the scenario, per request.
    segment : index, per request.
    """

    at_ms: Floats
    segment: Ints
    segments: Sequence[str]
    _strength: dict[int, Floats] = field(default_factory=dict)

    def strength(self, change: Change) -> Floats:
        """From 0 to 1 per request; 0 outside the change's segment."""
        known = self._strength.get(id(change))
        if known is None:
            known = change.strength(self.at_ms)
            if change.segment is not None:
                known = known * (self.segment == self.segments.index(change.segment))
            self._strength[id(change)] = known
        return known


def effects_on(metric: str, changes: Sequence[Change]) -> list[tuple[Change, Effect]]:
    """The effects of the changes on one metric, in the order of the file."""
    return [(change, effect) for change in changes for effect in change.effects if effect.metric == metric]


def answered(moment: Moment, changes: Sequence[Change]) -> Flags:
    """Which requests are answered at all."""
    silent = np.zeros(moment.at_ms.size, dtype=bool)
    for change in changes:
        if change.silent:
            silent |= moment.strength(change) > 0
    return ~silent


def rates(rate: float, moment: Moment, changes: Sequence[Change]) -> Floats:
    """The chance of an error, per request."""
    chances = np.full(moment.at_ms.size, rate)
    for change, effect in effects_on("error_rate", changes):
        strength = moment.strength(change)
        if effect.kind == "times":
            chances = chances * (1 + strength * (effect.value - 1))
        elif effect.kind == "add":
            chances = chances + strength * effect.value
        else:
            chances = chances + strength * (effect.value - chances)
    clipped: Floats = np.clip(chances, 0.0, 1.0)
    return clipped


def numbers(metric: str, quantity: Quantity, z: Floats, moment: Moment, changes: Sequence[Change]) -> Floats:
    """The values of a numeric metric, from a standard normal number per request.

    ``to`` moves the mean: by a factor, or, for ratings and for a mean of 0, by a shift.
    """
    values = quantity.of_normal(z)
    for change, effect in effects_on(metric, changes):
        strength = moment.strength(change)
        if effect.kind == "add":
            values = values + strength * effect.value
        elif effect.kind == "tail_times":
            values = np.where(z > ndtri(effect.above), values * (1 + strength * (effect.value - 1)), values)
        elif effect.kind == "times":
            values = values * (1 + strength * (effect.value - 1))
        elif (metric.startswith("feedback.") and metric != DELAY) or quantity.mean == 0.0:
            values = values + strength * (effect.value - quantity.mean)
        else:
            values = values * (1 + strength * (effect.value / quantity.mean - 1))
    return np.maximum(values, 0.0) if metric in {"latency_ms", DELAY} else values


def categories(
    metric: str, shares: dict[str, float], uniforms: Floats, moment: Moment, changes: Sequence[Change]
) -> Ints:
    """The index of each request's label value among ``shares``."""
    wanted = [
        (moment.strength(change), effect.shares)
        for change, effect in effects_on(metric, changes)
        if effect.shares is not None
    ]
    edge = np.zeros(uniforms.size)
    found = np.zeros(uniforms.size, dtype=np.int64)
    for value in list(shares)[:-1]:
        share = np.full(uniforms.size, shares[value])
        for strength, to in wanted:
            share = share + strength * (to[value] - share)
        edge = edge + share
        found += uniforms >= edge
    return found
