"""Batches of units: how many went to each version, and how many were asked to, within one epoch and rule each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from detectors.arrays import Floats


class SplitBatch(msgspec.Struct, frozen=True, eq=False):
    """Units that were seen for the first time, in m strata; a stratum is one epoch of the route and one of its rules.

    A unit is counted once, in the stratum of its first request, with the version that served that request. Requests
    may be counted in place of units only where each request is sent somewhere at random: the requests of sticky
    users would call every healthy split broken.

    Parameters
    ----------
    n : [m] units of all versions together.
    k : [m, C] units of each canary.
    asked : [m, C] each canary's share in the stratum's route, as a fraction.

    Raises
    ------
    ValueError : when counts are not finite with 0 <= Σ k <= n, or shares not within [0, 1] with Σ asked <= 1.

    >>> batch = SplitBatch.of([({"v1": 95, "v2": 5}, {"v1": 0.9, "v2": 0.1})], canaries=("v2",))
    >>> batch.n.tolist(), batch.k.tolist(), batch.asked.tolist()
    ([100.0], [[5.0]], [[0.1]])
    """

    n: Floats
    k: Floats
    asked: Floats

    def __post_init__(self) -> None:
        if self.n.ndim != 1 or self.k.ndim != 2 or self.k.shape != self.asked.shape or self.k.shape[0] != self.n.size:
            raise ValueError(f"SplitBatch: n [m], k and asked [m, C], found {self.n.shape}, {self.k.shape}")
        if not (np.isfinite(self.n).all() and bool((self.k >= 0).all() and (self.k.sum(axis=1) <= self.n).all())):
            raise ValueError("SplitBatch: counts must be finite with 0 <= k, adding up to at most n")
        if not bool((self.asked >= 0).all() and (self.asked.sum(axis=1) <= 1.0 + 1e-9).all()):
            raise ValueError("SplitBatch: shares must be finite and >= 0, adding up to at most 1")

    @classmethod
    def of(
        cls, strata: Sequence[tuple[Mapping[str, int], Mapping[str, float]]], *, canaries: Sequence[str]
    ) -> SplitBatch:
        """From (units by version, asked shares by version) of each stratum; a version left out has none."""
        width = len(canaries)
        n = np.array([float(sum(units.values())) for units, _ in strata])
        k = np.array([[float(units.get(name, 0)) for name in canaries] for units, _ in strata])
        asked = np.array([[float(shares.get(name, 0.0)) for name in canaries] for _, shares in strata])
        return cls(n, k.reshape(-1, width), asked.reshape(-1, width))
