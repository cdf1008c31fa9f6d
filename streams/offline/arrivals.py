"""How many requests arrive in each step of a scenario."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detectors.arrays import Floats, Ints
from schemas.scenario import Scenario, Shape
from streams.offline.samples import read_times_s

STEP_MS = 1_000
"""Length of a step: a simulated worker hears of the traffic, and judges, this often."""


def middle_ms(steps: Ints) -> Floats:
    """The middle of each step, ms since the start of the scenario."""
    return np.asarray((steps + 0.5) * STEP_MS, dtype=np.float64)


def arrivals(scenario: Scenario, folder: Path, steps: Ints, rng: np.random.Generator) -> Ints:
    """Requests in each of some consecutive steps.

    A rate makes them Poisson. Recorded times are taken as they are, begin at their first, and start again at their end.
    A shape multiplies a rate; it thins or thickens recorded times by Poisson numbers of the same mean.

    Parameters
    ----------
    steps : consecutive numbers of steps since the start.
    rng : of this scenario, this run and these steps.
    """
    traffic = scenario.traffic
    factor = _factor(traffic.shape, middle_ms(steps))
    if traffic.rate_per_s is not None:
        return rng.poisson(traffic.rate_per_s * STEP_MS / 1000 * factor)
    recorded = _recorded(folder / str(traffic.trace), str(traffic.column))[steps % _length(folder, scenario)]
    if (factor == 1.0).all():
        return recorded
    return rng.poisson(recorded * factor)


def expected_requests(scenario: Scenario, folder: Path) -> float:
    """Requests of the whole scenario, on average; at least 1."""
    steps = np.arange(-(-scenario.duration // STEP_MS))
    traffic = scenario.traffic
    factor = _factor(traffic.shape, middle_ms(steps))
    if traffic.rate_per_s is not None:
        return max(1.0, float((traffic.rate_per_s * STEP_MS / 1000 * factor).sum()))
    recorded = _recorded(folder / str(traffic.trace), str(traffic.column))
    return max(1.0, float((recorded[steps % recorded.size] * factor).sum()))


def _recorded(path: Path, column: str) -> Ints:
    at = (read_times_s(path, column) * 1000 / STEP_MS).astype(np.int64)
    return np.bincount(at)


def _length(folder: Path, scenario: Scenario) -> int:
    return _recorded(folder / str(scenario.traffic.trace), str(scenario.traffic.column)).size


def _factor(shape: Shape, at_ms: Floats) -> Floats:
    """What a shape multiplies the rate by: a sine that begins at its mean and rises, and bursts that begin a period."""
    factor = np.ones_like(at_ms, dtype=np.float64)
    if shape.diurnal is not None:
        wave = np.sin(2 * np.pi * at_ms / shape.diurnal.period)
        factor *= np.maximum(1.0 + float(shape.diurnal.amplitude) * wave, 0.0)
    if shape.bursts is not None:
        factor[at_ms % shape.bursts.every < shape.bursts.length] *= shape.bursts.times
    return factor
