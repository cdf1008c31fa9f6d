"""The users of a scenario: where they are, how they differ, and which bucket the router deals each of them."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from detectors.arrays import Floats, Hashes, Ints
from serinus.splitter import bucket_of
from streams.ingest.unit_columns import hash_units


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Random numbers of one purpose: what is drawn for another purpose, or not drawn, does not move them."""
    words = [crc32(word.encode()) if isinstance(word, str) else word for word in purpose]
    return np.random.default_rng([seed, *words])


class Users:
    """Sticky users. Each request comes from one of them, drawn with equal chances: visits spread over the scenario.

    Parameters
    ----------
    count : how many there are, >= 1.
    shares : of the segments, in order; each user lives in one.
    seed : of the run. Other runs have other users.
    """

    def __init__(self, count: int, shares: Floats, *, correlation: float, seed: int) -> None:
        self.count, self.correlation = count, correlation
        self.segment = pick(stream(seed, "users", "segment").random(count), shares)
        self._seed = seed
        self._normals: dict[str, Floats] = {}
        self._uniforms: dict[str, Floats] = {}
        self._salt, self._buckets = "", np.zeros(0, dtype=np.int64)
        self._hashed: tuple[Ints, Hashes] | None = None

    def hashed(self) -> tuple[Ints, Hashes]:
        """The bucket and the hash of each user, as ingest knows it."""
        if self._hashed is None:
            self._hashed = hash_units(self._units())
        return self._hashed

    def _units(self) -> Iterator[str]:
        return (f"{self._seed}-{number}" for number in range(self.count))

    def buckets(self, salt: str) -> Ints:
        """The bucket of each user under a salt, by the routers' own splitter."""
        if salt != self._salt or self._buckets.size == 0:
            self._buckets = np.fromiter((bucket_of(salt, unit) for unit in self._units()), np.int64, self.count)
            self._salt = salt
        return self._buckets

    def normals(self, metric: str, user: Ints, own: Floats) -> Floats:
        """Standard normal numbers whose correlation within a user is the scenario's.

        Parameters
        ----------
        user : of each request.
        own : independent standard normal numbers, one for each request.
        """
        theirs = self._normals.get(metric)
        if theirs is None:
            theirs = self._normals[metric] = stream(self._seed, "users", metric).standard_normal(self.count)
        share = self.correlation
        mixed: Floats = np.sqrt(share) * theirs[user] + np.sqrt(1 - share) * own
        return mixed

    def uniforms(self, metric: str, user: Ints, own: Floats, rng: np.random.Generator) -> Floats:
        """Uniform numbers of which a user's own one stands in so often that *any* two events made of them correlate.

        With probability √ρ a request takes its user's number, so two requests of a user share it with probability ρ:
        their outcomes have correlation ρ however rare they are. A Gaussian copula would lose it at small rates.
        """
        theirs = self._uniforms.get(metric)
        if theirs is None:
            theirs = self._uniforms[metric] = stream(self._seed, "users", metric, 1).random(self.count)
        return np.where(rng.random(own.size) < np.sqrt(self.correlation), theirs[user], own)


def pick(uniforms: Floats, shares: Floats) -> Ints:
    """The category of each uniform number; ``shares`` add up to 1."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, uniforms, side="right").astype(np.int64)
