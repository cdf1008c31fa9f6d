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
from serinus.splitter import BUCKETS
from streams.offline.drawing import Drawn, World, draw
from streams.offline.fleet_columns import Columns
from streams.offline.traffic import Shares


class FleetTraffic:
    """Traffic of releases of one scenario under one plan, a chunk of seconds at a time.

    Parameters
    ----------
    columns : what is summed up of a second; no more than moments.
    bounds : of :func:`bounds_of`.
    """

    def __init__(self, world: World, columns: Columns, bounds: Ints) -> None:
        self._world, self._columns, self._bounds = world, columns, bounds
        self._loaded: Floats | None = None

    def load(self, number: int, seeds: Sequence[int]) -> int:
        """Draw a chunk; how many seconds it has."""
        world = self._world
        seconds = min(world.chunk_steps, world.steps - number * world.chunk_steps)
        shape = (seconds, len(seeds), self._bounds.size, len(world.segments), 2, self._columns.width)
        sums = self._loaded = np.empty(shape)
        for index, seed in enumerate(seeds):
            self._add(draw(world, None, chunk=number, seed=seed), sums[:, index])
        return seconds

    def heard(self, offset: int, alive: Ints, stage: Ints) -> tuple[Floats, None]:
        """As :meth:`streams.offline.fleet_requests.FleetRequests.heard`; of the requests nothing is known any more."""
        assert self._loaded is not None
        return self._loaded[offset, alive, stage], None

    def _add(self, drawn: Drawn, sums: Floats) -> None:
        """One release's sums, into [seconds, stages, segments, 2, columns]."""
        segments, levels = len(self._world.segments), self._bounds.size + 1
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
        for name, centre in self._columns.centres.items():
            away = drawn.numbers[name][side] - centre
            columns += [summed(away), summed(away * away)]
        return columns


def bounds_of(world: World, plan: Plan) -> Ints:
    """For each stage of the ramp the first of the splitter's buckets that the baseline keeps, ascending."""
    times = world.scenario.split.times
    splits = (
        Shares(((plan.canaries[0], stage.weight_ppm),), "").split(plan.baseline, times)
        for stage in stages_of(plan.ramp)
    )
    return np.array([split.bounds[0] if split.bounds else BUCKETS for split in splits])
