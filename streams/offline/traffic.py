"""The traffic of one simulated run, step by step, dealt by whatever route is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.arrays import Ints
from schemas.basis import Basis
from schemas.plan import Plan
from schemas.report import Cell
from schemas.rule import Rule
from serinus.splitter import BUCKETS, Split, split_buckets
from streams.offline.cells import Naming, Step, steps_of
from streams.offline.drawing import Drawn, World, draw
from streams.offline.unit_cells import Units


@dataclass(frozen=True, slots=True)
class Shares:
    """What the routers are asked for: each canary's share in parts per million, the salt that deals users, the epoch.

    The epoch is -1 where there is no route.
    """

    canaries_ppm: tuple[tuple[str, int], ...]
    salt: str
    rules: tuple[tuple[tuple[str, ...], Shares], ...] = ()
    epoch: int = -1

    @classmethod
    def of(
        cls,
        weights_ppm: Mapping[str, int],
        canaries: Sequence[str],
        salt: str,
        rules: Sequence[Rule] = (),
        *,
        epoch: int = -1,
    ) -> Shares:
        """From the weights of a route, and those of the segments that its rules name."""
        named = tuple((rule.segments, cls.of(rule.weights_ppm, canaries, salt)) for rule in rules)
        return cls(tuple((version, weights_ppm.get(version, 0)) for version in canaries), salt, named, epoch)

    def in_segment(self, segment: str) -> Shares:
        """Those of the first rule that names a segment, as in the routers; else those of everyone."""
        return next((shares for segments, shares in self.rules if segment in segments or "*" in segments), self)

    def split(self, fallback: str, times: float) -> Split:
        """Who owns which bucket when the routers really send ``times`` the shares that they are asked for.

        >>> Shares((("v2", 100_000),), "salt").split("v1", 0.5).bounds
        (50000,)
        """
        weights: dict[str, int] = {}
        left = BUCKETS
        for version, ppm in self.canaries_ppm:
            weights[version] = min(left, round(ppm * times))
            left -= weights[version]
        return split_buckets(weights, fallback=fallback, canaries=[version for version, _ in self.canaries_ppm])


def metrics_drawn(plan: Plan) -> frozenset[str]:
    """The metrics that the plan reads, those that it looks at together among them."""
    return frozenset(metric.name for metric in plan.measured).union(*(metric.of for metric in plan.metrics))


class Traffic:
    """One run's traffic. Steps come in order; what they hold depends on the seed and on the shares asked for.

    Parameters
    ----------
    start_ms : Unix ms of the start of the scenario.
    """

    def __init__(self, world: World, plan: Plan, *, seed: int, start_ms: int) -> None:
        self._world, self._seed = world, seed
        self._users = world.users(seed)
        self._canaries = plan.canaries
        self._naming = Naming(
            service=plan.service,
            versions=(plan.baseline, *plan.canaries),
            segments=world.segments,
            labels={name: list(shares) for name, shares in world.labels.items()},
            quantiles={metric.name for metric in plan.metrics if metric.kind in {"p50", "p95", "p99"}},
            start_ms=start_ms,
        )
        self._together = frozenset[str]().union(*(metric.of for metric in plan.metrics))
        self._basis: Basis | None = None
        self._next = 0
        self._drawn: Drawn | None = None
        self._ready: list[Step] = []
        self._ready_from = 0
        self._shares: Shares | None = None
        self._due: dict[int, list[Cell]] = {}

    def count_in(self, basis: Basis | None) -> None:
        """The basis in which vectors are counted from the next step on."""
        self._basis, self._shares = basis, None

    def step(self, shares: Shares) -> Step:
        """The next step, its requests dealt by these shares, with the feedback on earlier requests that is due."""
        at = self._next
        self._next += 1
        if self._drawn is None or at >= self._drawn.first_step + self._world.chunk_steps:
            self._drawn = draw(self._world, self._users, chunk=at // self._world.chunk_steps, seed=self._seed)
            self._shares = None
        if shares != self._shares:
            self._deal(self._drawn, shares, at)
        step = self._ready[at - self._ready_from]
        for due, cell in step.later:
            self._due.setdefault(due, []).append(cell)
        return Step([*step.cells, *self._due.pop(at, [])], [], step.requests)

    def _deal(self, drawn: Drawn, shares: Shares, at: int) -> None:
        """Deal what is left of the chunk anew."""
        routed = drawn.dealt if self._users is None else self._users.buckets(shares.salt)[drawn.dealt]
        version = self._versions(drawn, routed, shares)
        units = None
        if self._users is not None:
            bucket, hashes = self._users.hashed()
            units = Units(bucket[drawn.dealt], hashes[drawn.dealt], routed, shares.epoch)
        end = min(drawn.first_step + self._world.chunk_steps, self._world.steps)
        # A joint gate learns its basis from histograms.
        quantiles = {*self._naming.quantiles, *(self._together if self._basis is None else ())}
        naming = replace(self._naming, quantiles=quantiles, basis=self._basis)
        self._ready = steps_of(drawn, version, naming, from_step=at, to_step=end, units=units)
        self._ready_from, self._shares = at, shares

    def _versions(self, drawn: Drawn, bucket: Ints, shares: Shares) -> Ints:
        owned = np.zeros(bucket.size, dtype=np.int64)
        for index, segment in enumerate(self._world.segments):
            split = shares.in_segment(segment).split(self._naming.versions[0], self._world.scenario.split.times)
            owners = np.array([self._naming.versions.index(version) for version in split.versions])
            here = drawn.segment == index
            owned[here] = owners[np.searchsorted(np.array(split.bounds, dtype=np.int64), bucket[here], side="right")]
        return owned
