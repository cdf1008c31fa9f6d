"""The traffic of many releases at once: sums of each second, for every share that the ramp may have opened by then.

The requests are those that `serinus simulate` draws for the same seeds. The canaries' shares of a ramp are nested, so
one pass over the requests gives both arms' sums at every stage, before it is known when a stage opens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Floats, Ints
from releases.ramps.ramp import stages_of
from schemas.plan import Plan
from streams.offline.drawing import Drawn, World, draw
from streams.offline.traffic import Shares

N, BAD, FIRST_MEAN = 0, 1, 2
"""Columns of an arm's sums: requests, errors, then for each mean the sums of x - c and of (x - c)²."""


class FleetTraffic:
    """Traffic of releases of one scenario under one plan, a chunk of seconds at a time.

    Parameters
    ----------
    means : metrics in the order of their columns.

    Raises
    ------
    ValueError : the scenario or the plan has something that this way of simulating leaves out.
    """

    def __init__(self, world: World, plan: Plan, means: Sequence[str]) -> None:
        silent = any(change.silent for change in world.canary)
        if silent or world.scenario.traffic.users is not None or len(plan.canaries) != 1:
            raise ValueError("a fleet has one canary, independent requests, and versions that answer")
        self.world, self._means = world, tuple(means)
        self._centres = [world.quantities[name].mean for name in means]
        times = world.scenario.split.times
        splits = (
            Shares(((plan.canaries[0], stage.weight_ppm),), "").split(plan.baseline, times)
            for stage in stages_of(plan.ramp)
        )
        self._bounds = np.array([split.bounds[0] if split.bounds else 1_000_000 for split in splits])

    @property
    def stages(self) -> int:
        return self._bounds.size

    @property
    def columns(self) -> int:
        return FIRST_MEAN + 2 * len(self._means)

    def chunk(self, number: int, seeds: Sequence[int]) -> Floats:
        """[seconds, releases, stages, segments, 2, columns] sums of the baseline and of the canary."""
        seconds = min(self.world.chunk_steps, self.world.steps - number * self.world.chunk_steps)
        shape = (seconds, len(seeds), self.stages, len(self.world.segments), 2, self.columns)
        sums = np.empty(shape)
        for index, seed in enumerate(seeds):
            self._add(draw(self.world, None, chunk=number, seed=seed), sums[:, index])
        return sums

    def moments(self, sums: Floats, mean: int) -> tuple[Floats, Floats, Floats]:
        """n, mean and m2 of one metric from an arm's sums [..., columns]."""
        n, first = sums[..., N], FIRST_MEAN + 2 * mean
        shift = sums[..., first] / np.maximum(n, 1.0)
        m2 = np.maximum(sums[..., first + 1] - n * shift**2, 0.0)
        return n, np.where(n > 0, self._centres[mean] + shift, 0.0), m2

    def _add(self, drawn: Drawn, sums: Floats) -> None:
        """One release's sums, into [seconds, stages, segments, 2, columns]."""
        segments, levels = len(self.world.segments), self.stages + 1
        level = np.searchsorted(self._bounds, drawn.dealt, side="right")
        key = ((drawn.step - drawn.first_step) * segments + drawn.segment) * levels + level
        shape = (sums.shape[0], segments, levels)
        ours = self._sums(drawn, key, shape, 0)
        same = all(one is other for one, other in (drawn.error, *drawn.numbers.values()))
        theirs = ours if same else self._sums(drawn, key, shape, 1)
        # A canary of stage s answers the levels up to s, the baseline the others.
        for column, (baseline, canary) in enumerate(zip(ours, theirs, strict=True)):
            sums[..., 1, column] = np.moveaxis(np.cumsum(canary, axis=2)[:, :, :-1], 2, 1)
            sums[..., 0, column] = np.moveaxis(np.cumsum(baseline[:, :, ::-1], axis=2)[:, :, -2::-1], 2, 1)

    def _sums(self, drawn: Drawn, key: Ints, shape: tuple[int, int, int], side: int) -> list[Floats]:
        """Per column the sums of one version's answers, [seconds, segments, levels]."""
        size = shape[0] * shape[1] * shape[2]

        def summed(x: Floats) -> Floats:
            return np.bincount(key, weights=x, minlength=size).astype(np.float64, copy=False).reshape(shape)

        requests = np.bincount(key, minlength=size).astype(np.float64).reshape(shape)
        columns = [requests, summed(drawn.error[side].astype(np.float64))]
        for name, centre in zip(self._means, self._centres, strict=True):
            away = drawn.numbers[name][side] - centre
            columns += [summed(away), summed(away * away)]
        return columns
