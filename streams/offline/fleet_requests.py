"""The requests of many releases at once, dealt second by second: for what sums over a ramp's shares cannot tell.

Sums by bucket of units, histograms and labels are many numbers. To make them for every share that a ramp may have
opened by then, as :mod:`streams.offline.fleet_traffic` does, would fill the memory. So the requests of a chunk are
kept, in the order of time, and each second is summed up when it is known which stages the ramps have reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.arrays import Flags, Floats, Hashes, Ints
from detectors.summaries.log_histogram import bin_of
from schemas.unit_hash import UNIT_BUCKETS
from streams.offline.arrivals import STEP_MS
from streams.offline.cells import NEVER_MS
from streams.offline.drawing import Drawn, World, draw
from streams.offline.fleet_columns import BAD, FIRST_MEAN, Columns, N
from streams.offline.fleet_feedback import FleetFeedback, Given
from streams.offline.users import Users

Codes = npt.NDArray[np.integer[Any]]
"""Whole numbers in as few bytes as they need: there are millions of them."""

Pair = tuple[Any, Any]
"""The baseline's answers and the canary's, an array each; the same one twice where they do not differ."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of several releases, ordered by second and then by release.

    Parameters
    ----------
    release : number of each request's release.
    level : the stage of the ramp from which on the canary answers it.
    error, numbers, labels : what either version answers.
    ratings, due : the feedback on either answer, NaN where there is none, and the second in which it comes.
    user, routed, bucket : its user, and the buckets that the splitter and the gates know the user by; empty without.
    """

    step: Codes
    release: Codes
    segment: Codes
    level: Codes
    error: Pair
    numbers: tuple[Pair, ...]
    labels: tuple[Pair, ...]
    ratings: tuple[Pair, ...]
    due: tuple[Pair, ...]
    user: Codes
    routed: Codes
    bucket: Codes

    def take(self, chosen: Ints | Flags | slice) -> Requests:
        """Some of them."""
        return Requests(*(_taken(getattr(self, one.name), chosen) for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Requests]) -> Requests:
        """All of them, in order."""
        whole = cls(*(_joined([getattr(part, one.name) for part in parts]) for one in fields(cls)))
        return whole.take(np.argsort(whole.step, kind="stable"))


@dataclass(frozen=True, slots=True)
class Dealt:
    """The requests of one second, and which of them the canary answers."""

    requests: Requests
    canary: Flags

    def keep(self, goes_on: Flags) -> Dealt:
        """Forget the requests of all but some releases, which are numbered anew."""
        kept = goes_on[self.requests.release]
        place = (np.cumsum(goes_on) - 1).astype(np.int32)
        requests = self.requests.take(kept)
        return Dealt(replace(requests, release=place[requests.release]), self.canary[kept])


class FleetRequests:
    """Traffic of releases of one scenario under one plan, a chunk of seconds at a time.

    Parameters
    ----------
    columns : what is summed up of a second.
    bounds : for each stage of the ramp the first of the splitter's buckets that the baseline keeps.
    salt : that deals users.
    """

    def __init__(self, world: World, columns: Columns, bounds: Ints, *, salt: str) -> None:
        self._world, self._columns, self._bounds, self._salt = world, columns, bounds, salt
        self._users: dict[int, Users | None] = {}
        self._requests: Requests | None = None
        self._edges: list[int] = []
        self._seeds: Ints = np.zeros(0, dtype=np.int64)
        self._first = 0
        self._later = FleetFeedback(tuple(columns.feedback.values()), len(world.segments))

    def load(self, number: int, seeds: Sequence[int]) -> int:
        """Draw a chunk; how many seconds it has."""
        world = self._world
        # What is kept of a chunk is large: two at a time are too many.
        self._requests = None
        parts = [self._kept(draw(world, self._of(seed), chunk=number, seed=seed), seed) for seed in seeds]
        parts = [replace(part, release=part.release + at) for at, part in enumerate(parts)]
        self._users = {seed: self._users[seed] for seed in seeds if seed in self._users}
        first = number * world.chunk_steps
        seconds = min(world.chunk_steps, world.steps - first)
        self._requests, self._seeds, self._first = Requests.joined(parts), np.array(seeds, dtype=np.int64), first
        self._edges = np.searchsorted(self._requests.step, first + np.arange(seconds + 1)).tolist()
        return seconds

    def heard(self, offset: int, alive: Ints, stage: Ints) -> tuple[Floats, Dealt]:
        """[releases, segments, 2, columns] sums of a second of the chunk, and the requests that they are sums of.

        Parameters
        ----------
        alive : of the chunk's releases those that still go on, ascending. They are numbered anew.
        stage : that each of them has reached.
        """
        assert self._requests is not None
        requests = self._requests.take(slice(self._edges[offset], self._edges[offset + 1]))
        if alive.size < self._seeds.size:
            place = np.full(self._seeds.size, -1, dtype=np.int32)
            place[alive] = np.arange(alive.size)
            requests = replace(requests, release=place[requests.release])
            requests = requests.take(requests.release >= 0)
        dealt = Dealt(requests, requests.level <= stage[requests.release])
        sums = self._sums(dealt, alive.size)
        if self._columns.feedback:
            self._keep_feedback(dealt, self._seeds[alive])
            sums[..., self._columns.first_feedback :] = self._later.heard(self._first + offset, self._seeds[alive])
        return sums, dealt

    def _keep_feedback(self, dealt: Dealt, seeds: Ints) -> None:
        requests = dealt.requests
        for kind, (ratings, due) in enumerate(zip(requests.ratings, requests.due, strict=True)):
            given = np.flatnonzero(~np.isnan(ratings[0]))
            canary = dealt.canary[given]
            value, step = (_side((pair[0][given], pair[1][given]), canary) for pair in (ratings, due))
            said = Given(seeds[requests.release[given]], requests.segment[given].astype(np.int64), canary * 1, value)
            self._later.keep(kind, step, said)

    def hashes(self, seed: int) -> Hashes:
        """The hash of each user of a release, as ingest knows it."""
        users = self._of(seed)
        return np.zeros(0, dtype=np.uint64) if users is None else users.hashed()[1]

    def _of(self, seed: int) -> Users | None:
        if seed not in self._users:
            self._users[seed] = self._world.users(seed)
        return self._users[seed]

    def _kept(self, drawn: Drawn, seed: int) -> Requests:
        users = self._of(seed)
        routed, none = drawn.dealt, np.zeros(0, dtype=np.int32)
        if users is not None:
            routed = users.buckets(self._salt)[drawn.dealt]
        ratings, due = _feedback(drawn, tuple(self._columns.feedback))
        return Requests(
            step=drawn.step.astype(np.int32),
            release=np.zeros(drawn.step.size, dtype=np.int32),
            segment=drawn.segment.astype(np.int16),
            level=np.searchsorted(self._bounds, routed, side="right").astype(np.int16),
            error=drawn.error,
            numbers=tuple(drawn.numbers[name] for name in self._columns.numbers),
            labels=tuple(drawn.labels[name] for name in self._columns.labels),
            ratings=ratings,
            due=due,
            user=none if users is None else drawn.dealt.astype(np.int32),
            routed=none if users is None else routed.astype(np.int32),
            bucket=none if users is None else users.hashed()[0][drawn.dealt].astype(np.int16),
        )

    def _sums(self, dealt: Dealt, releases: int) -> Floats:
        requests, canary, columns = dealt.requests, dealt.canary, self._columns
        segments = len(self._world.segments)
        row = (requests.release.astype(np.int64) * segments + requests.segment) * 2 + canary
        rows = releases * segments * 2
        sums = np.zeros((rows, columns.width))

        def put(first: int, weights: Floats | None = None, at: Codes | None = None, length: int = 1) -> None:
            place = row if at is None else row * length + at
            found = np.bincount(place, weights=weights, minlength=rows * length)
            sums[:, first : first + length] = found.reshape(rows, length)

        failed = _side(requests.error, canary).astype(np.float64)
        values = {name: _side(pair, canary) for name, pair in zip(columns.numbers, requests.numbers, strict=True)}
        put(N)
        put(BAD, failed)
        for index, (name, centre) in enumerate(columns.centres.items()):
            away = values[name] - centre
            put(FIRST_MEAN + 2 * index, away)
            put(FIRST_MEAN + 2 * index + 1, away * away)
        if columns.by_unit:
            weights = (None, failed, *(values[name] for name in columns.centres))
            for index, weight in enumerate(weights):
                put(columns.first_by_unit + index * UNIT_BUCKETS, weight, requests.bucket, UNIT_BUCKETS)
        first = columns.first_label
        for names, pair in zip(columns.labels.values(), requests.labels, strict=True):
            put(first, None, _side(pair, canary), len(names))
            first += len(names)
        for name, span in columns.spans.items():
            at = bin_of(values[name]).astype(np.int64) - span.start
            if at.size and not (at.min() >= 0 and at.max() < len(span)):
                raise ValueError(
                    f"a fleet has no room in its histograms for a value of {name} so far from the baseline"
                )
            put(first, None, at, len(span))
            first += len(span)
        return sums.reshape(releases, segments, 2, columns.width)


def _feedback(drawn: Drawn, names: tuple[str, ...]) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Of each kind either version's rating of every request, and the second in which it comes."""
    ratings, due = list[Pair](), list[Pair]()
    for name in names:
        rated = drawn.ratings[name]
        after = [np.rint(np.minimum(ms, NEVER_MS) / STEP_MS).astype(np.int64) for ms in rated.delay_ms]
        values, steps = np.full((2, drawn.step.size), np.nan), np.zeros((2, drawn.step.size), dtype=np.int64)
        values[:, rated.request] = rated.values
        steps[:, rated.request] = drawn.step[rated.request] + np.array(after)
        ratings.append((values[0], values[1]))
        due.append((steps[0], steps[1]))
    return tuple(ratings), tuple(due)


def _taken(value: Any, chosen: Ints | Flags | slice) -> Any:
    """The chosen of an array, or of each array of a tuple; the same array twice is still the same afterwards."""
    if not isinstance(value, tuple):
        return value[chosen] if value.size else value
    known = {id(one): one for one in value}
    taken = {name: _taken(one, chosen) for name, one in known.items()}
    return tuple(taken[id(one)] for one in value)


def _joined(values: Sequence[Any]) -> Any:
    """Arrays one after the other, or tuples of them; versions that answer alike in every part are kept once."""
    if not isinstance(values[0], tuple):
        return np.concatenate(values)
    columns = list(zip(*values, strict=True))
    if len(columns) == 2 and all(ours is theirs for ours, theirs in values):
        one = _joined(columns[0])
        return one, one
    return tuple(_joined(column) for column in columns)


def _side(pair: Pair, canary: Flags) -> Any:
    """What each request was answered."""
    return pair[0] if pair[0] is pair[1] else np.where(canary, pair[1], pair[0])
