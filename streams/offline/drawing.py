"""Drawing the requests of a scenario, some minutes at a time, before it is known which version answers each of them.

Every request gets both versions' answers, the baseline's and the canary's, from the same random numbers. So what is
drawn does not depend on the routes, and other ways to decide can be tried on the very same traffic.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from schemas.file_errors import RuleError
from schemas.metric import DELAY
from schemas.scenario import Feedback, Scenario, Shape
from streams.offline import behaviour
from streams.offline.arrivals import STEP_MS, arrivals, expected_requests, middle_ms
from streams.offline.behaviour import Moment
from streams.offline.changes import Change, changes_of, metrics_of
from streams.offline.copula import Copula
from streams.offline.distributions import Quantity, quantity_of
from streams.offline.users import Users, pick, stream

CHUNK_STEPS_MAX = 600
CHUNK_REQUESTS = 300_000
"""Steps and requests that are drawn at once: enough for numpy; a release that ends early wastes little, and a high rate
does not fill the memory."""


@dataclass(frozen=True, slots=True)
class Rated:
    """Feedback on some requests: their indexes, the rating of either answer, and how long it takes, in ms."""

    request: Ints
    values: tuple[Floats, Floats]
    delay_ms: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The requests of a chunk in the order of their steps. Pairs hold (baseline's answer, canary's answer).

    Parameters
    ----------
    first_step : of the chunk.
    step : of each request, since the start of the scenario, ascending.
    dealt : the user of each request or, without users, its bucket.
    """

    first_step: int
    step: Ints
    segment: Ints
    dealt: Ints
    answered: tuple[Flags, Flags]
    error: tuple[Flags, Flags]
    numbers: dict[str, tuple[Floats, Floats]]
    labels: dict[str, tuple[Ints, Ints]]
    ratings: dict[str, Rated]


class World:
    """A scenario, checked against its files: everything that does not depend on the run.

    Parameters
    ----------
    folder : where the scenario's files are looked up.
    wanted : the metrics of a plan that are to be drawn.

    Raises
    ------
    schemas.file_errors.RuleError, schemas.file_errors.FileError : the scenario contradicts itself or its files.
    """

    def __init__(self, scenario: Scenario, folder: Path, wanted: Collection[str]) -> None:
        self.scenario, self.folder = scenario, folder
        self.segments = tuple(scenario.traffic.segments) or ("",)
        self.shares = np.array([float(share) for share in scenario.traffic.segments.values()] or [1.0])
        known = metrics_of(scenario)
        for name in wanted:
            if name not in known:
                raise RuleError("$.baseline", f"the plan judges {name}; allowed are {', '.join(known)}")
        self.both = changes_of(scenario, "both")
        self.canary = (*self.both, *changes_of(scenario, "canary"))
        arm = scenario.baseline
        given = {f"values.{name}": distribution for name, distribution in arm.values.items()}
        if arm.latency_ms is not None:
            given = {"latency_ms": arm.latency_ms, **given}
        self.quantities = {
            name: quantity_of(distribution, folder, path=f"$.baseline.{name}") for name, distribution in given.items()
        }
        self.copula = self._copula()
        if self.copula is None:
            self.quantities = {name: q for name, q in self.quantities.items() if name in wanted}
        self.labels = {
            name: {value: float(share) for value, share in shares.items()}
            for name, shares in ((f"labels.{name}", shares) for name, shares in arm.labels.items())
            if name in wanted
        }
        named = {f"feedback.{name}": feedback for name, feedback in arm.feedback.items()}
        self.feedback = {name: one for name, one in named.items() if name in wanted or DELAY in wanted}
        _check_shape(scenario.traffic.shape)
        self.requests_expected = expected_requests(scenario, folder)
        self.chunk_steps = int(np.clip(CHUNK_REQUESTS * self.steps / self.requests_expected, 1, CHUNK_STEPS_MAX))

    @property
    def steps(self) -> int:
        """Length of the scenario."""
        return -(-self.scenario.duration // STEP_MS)

    def requests_expected_from(self, step: int) -> int:
        """How many of its requests are expected in a step and all after it, at the scenario's mean rate."""
        return round(self.requests_expected * max(0, self.steps - step) / self.steps)

    @property
    def onset_ms(self) -> int | None:
        """When the canary begins to differ, since the start; None when it never does."""
        ours = self.canary[len(self.both) :]
        return min((change.at_ms for change in ours), default=None)

    def _copula(self) -> Copula | None:
        correlation = self.scenario.baseline.correlation
        if not correlation and not any(change.correlation for change in self.canary):
            return None
        copula = Copula(list(self.quantities), correlation, path="$.baseline.correlation")
        copula.check(self.canary)
        return copula

    def users(self, seed: int) -> Users | None:
        """The users of one run, when the scenario has any."""
        asked = self.scenario.traffic.users
        if asked is None:
            return None
        count = max(1, round(self.requests_expected / asked.requests))
        return Users(count, self.shares, correlation=asked.correlation, seed=seed)


def _check_shape(shape: Shape) -> None:
    if shape.diurnal is not None and shape.diurnal.period <= 0:
        raise RuleError("$.traffic.shape.diurnal.period", "found 0s; allowed is more than 0s")
    if shape.bursts is not None and (shape.bursts.every <= 0 or shape.bursts.times < 0):
        raise RuleError("$.traffic.shape.bursts", "allowed are every of more than 0s and times of at least 0")


def draw(world: World, users: Users | None, *, chunk: int, seed: int) -> Drawn:
    """The requests of one chunk of one run; the same seed draws the same requests."""
    first = chunk * world.chunk_steps
    steps = np.arange(first, min(first + world.chunk_steps, world.steps))
    counts = arrivals(world.scenario, world.folder, steps, stream(seed, chunk, "arrivals"))
    step = np.repeat(steps, counts)
    rng = stream(seed, chunk, "requests")
    if users is None:
        dealt = rng.integers(0, 1_000_000, step.size)
        segment = pick(rng.random(step.size), world.shares)
    else:
        dealt = rng.integers(0, users.count, step.size)
        segment = users.segment[dealt]
    return _Draw(world, users, dealt, Moment(middle_ms(step), segment, world.segments), (seed, chunk)).drawn(step)


class _Draw:
    """One chunk on its way: what the requests are answered."""

    def __init__(self, world: World, users: Users | None, dealt: Ints, moment: Moment, seed: tuple[int, int]) -> None:
        self._world, self._users, self._dealt, self._moment, self._seed = world, users, dealt, moment, seed
        self._sides: tuple[tuple[Change, ...], tuple[Change, ...]] = (world.both, world.canary)

    def drawn(self, step: Ints) -> Drawn:
        world, moment = self._world, self._moment
        uniforms = self._uniforms("error_rate")
        chances = [behaviour.rates(float(world.scenario.baseline.error_rate), moment, side) for side in self._sides]
        return Drawn(
            first_step=self._seed[1] * world.chunk_steps,
            step=step,
            segment=moment.segment,
            dealt=self._dealt,
            answered=(behaviour.answered(moment, self._sides[0]), behaviour.answered(moment, self._sides[1])),
            error=(uniforms < chances[0], uniforms < chances[1]),
            numbers=self._numbers(),
            labels={name: self._label(name, shares) for name, shares in world.labels.items()},
            ratings={name: self._ratings(name, feedback) for name, feedback in world.feedback.items()},
        )

    def _normals(self, name: str) -> Floats:
        own = stream(*self._seed, name).standard_normal(self._dealt.size)
        return own if self._users is None else self._users.normals(name, self._dealt, own)

    def _uniforms(self, name: str) -> Floats:
        rng = stream(*self._seed, name)
        own = rng.random(self._dealt.size)
        return own if self._users is None else self._users.uniforms(name, self._dealt, own, rng)

    def _numbers(self) -> dict[str, tuple[Floats, Floats]]:
        world, moment = self._world, self._moment
        z = {name: self._normals(name) for name in world.quantities}
        ours = theirs = z
        if world.copula is not None:
            together = np.array(list(z.values()))
            ours = dict(zip(z, world.copula.of(together, moment, self._sides[0]), strict=True))
            theirs = dict(zip(z, world.copula.of(together, moment, self._sides[1]), strict=True))
        return {
            name: self._pair(name, quantity, ours[name], theirs[name]) for name, quantity in world.quantities.items()
        }

    def _pair(self, name: str, quantity: Quantity, ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
        baseline = behaviour.numbers(name, quantity, ours, self._moment, self._sides[0])
        if ours is theirs and len(self._sides[0]) == len(self._sides[1]):
            return baseline, baseline
        return baseline, behaviour.numbers(name, quantity, theirs, self._moment, self._sides[1])

    def _label(self, name: str, shares: dict[str, float]) -> tuple[Ints, Ints]:
        uniforms = self._uniforms(name)
        ours, theirs = (behaviour.categories(name, shares, uniforms, self._moment, side) for side in self._sides)
        return ours, theirs

    def _ratings(self, name: str, feedback: Feedback) -> Rated:
        given = np.flatnonzero(stream(*self._seed, name, "given").random(self._dealt.size) < float(feedback.share))
        z = self._normals(name)[given]
        quantity = Quantity(feedback.mean, lambda normal: feedback.mean + feedback.sd * normal)
        where = Moment(self._moment.at_ms[given], self._moment.segment[given], self._moment.segments)
        late = _delay(feedback)
        z_late = stream(*self._seed, name, "delay").standard_normal(given.size)
        ours, theirs = (
            (behaviour.numbers(name, quantity, z, where, side), behaviour.numbers(DELAY, late, z_late, where, side))
            for side in self._sides
        )
        return Rated(given, (ours[0], theirs[0]), (ours[1], theirs[1]))


def _delay(feedback: Feedback) -> Quantity:
    """How long feedback takes, in ms."""
    median_ms, sigma = float(feedback.delay), feedback.delay_sigma
    return Quantity(median_ms * float(np.exp(sigma**2 / 2)), lambda normal: median_ms * np.exp(sigma * normal))
