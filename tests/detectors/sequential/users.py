"""Many simulated releases at once, with users who come back: each release is one segment of one state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.batches import MeanBatch
from detectors.unit_batches import BUCKETS, UnitBatch
from tests.detectors.sequential.many import moments_of


class Users(NamedTuple):
    """How users behave.

    Parameters
    ----------
    number : of each release; their visits come at random over the whole release.
    share : of the canary. correlation : of a user's values with each other. block : requests in a block.
    """

    number: int
    share: float
    correlation: float = 0.3
    block: int = 50


class Visits(NamedTuple):
    """Requests of one block of each release, [releases, block].

    ``z`` is Gaussian and ``u`` uniform, both correlated within users: ``u`` is the user's own with chance √correlation.
    """

    z: Floats
    u: Floats
    canary: Flags
    bucket: Ints


def visits(users: Users, releases: int, seed: int) -> Iterator[Visits]:
    """Endless blocks of requests of sticky users."""
    rng = np.random.default_rng(seed)
    shape = (releases, users.number)
    habit = rng.normal(0.0, users.correlation**0.5, shape)
    own = rng.random(shape)
    canary, bucket = rng.random(shape) < users.share, rng.integers(0, BUCKETS, shape)
    while True:
        who = rng.integers(0, users.number, (releases, users.block))
        mine = rng.normal(0.0, (1.0 - users.correlation) ** 0.5, who.shape)
        z, u = np.take_along_axis(habit, who, axis=1), np.take_along_axis(own, who, axis=1)
        of, where = np.take_along_axis(canary, who, axis=1), np.take_along_axis(bucket, who, axis=1)
        fresh = rng.random(who.shape) > users.correlation**0.5
        yield Visits(z + mine, np.where(fresh, rng.random(who.shape), u), of, where)


def lognormal(seen: Visits, *, sigma: float, times: float) -> Floats:
    """Values with median 1, the canary's ``times`` as large."""
    return np.where(seen.canary, times, 1.0) * np.exp(sigma * seen.z)


def errors(seen: Visits, *, baseline: float, canary: float) -> Floats:
    """Ones where a request fails; correlated within users as asked."""
    failed: Floats = (seen.u < np.where(seen.canary, canary, baseline)).astype(np.float64)
    return failed


APART = 2
"""Rows of a release by itself: its total and its one segment."""


def unit_batch(seen: Visits, x: Floats, *, apart: bool = False) -> UnitBatch:
    """The block's values by bucket: every release is a segment of one, or (``apart``) a group of APART rows."""
    releases = x.shape[0]
    place = (np.arange(releases)[:, None] * BUCKETS + seen.bucket).ravel()

    def arm(of: Flags) -> tuple[Floats, Floats, Floats]:
        def within(weights: Floats) -> Floats:
            flat: Floats = np.bincount(place, weights=weights.ravel(), minlength=releases * BUCKETS).astype(np.float64)
            return flat.reshape(releases, BUCKETS)

        return within(of.astype(np.float64)), within(np.where(of, x, 0.0)), moments_of(x, of)[2]

    arms = (*arm(~seen.canary), *arm(seen.canary))
    if apart:
        return UnitBatch(APART * np.arange(releases) + 1, *arms, APART)
    return UnitBatch(np.arange(1, releases + 1), *arms)


def request_batch(seen: Visits, x: Floats) -> MeanBatch:
    """The same values as if every request were on its own."""
    rows = np.arange(1, x.shape[0] + 1)
    return MeanBatch(rows, *moments_of(x, ~seen.canary), *moments_of(x, seen.canary))
