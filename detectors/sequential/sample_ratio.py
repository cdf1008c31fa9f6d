"""Is the split as asked? A sequential sample-ratio test on units, over all epochs and rules at once."""

from __future__ import annotations

from math import log
from typing import ClassVar, Final, NamedTuple

import msgspec
import numpy as np
from scipy.special import betaincinv

from detectors.arrays import Floats
from detectors.split_batches import SplitBatch

RATIOS: Final = (0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)
"""Odds of the canary against the odds asked for, that are looked for."""

ALPHA: Final = 0.001
"""The test's own alpha, apart from the budget of the gates: a broken split makes every verdict void."""


class SampleRatioState(msgspec.Struct, frozen=True, eq=False):
    """Sums over strata, so that states of disjoint units are merged by adding them.

    Parameters
    ----------
    log_e : [C, J] log of the likelihood ratio of each canary and ratio.
    n, k, expected : [C] units that could tell, those that came to the canary, and those that were asked to.
    """

    log_e: Floats
    n: Floats
    k: Floats
    expected: Floats


class Split(NamedTuple):
    """What was seen of one canary: ``units`` in all, its ``share`` of them, and the share that was ``asked`` for."""

    units: int
    share: float | None
    asked: float | None


def share_within(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share, at one look: for people, while the verdict is the e-value's.

    Over several strata a count is a sum of unequal chances. Its tails beyond the mean are at most those of the binomial
    with the mean chance (Hoeffding 1956, Annals of Mathematical Statistics 27), so the interval holds there too.

    Parameters
    ----------
    k, n : units of the canary, and of all versions; 0 <= k <= n, n > 0.

    >>> [round(one, 4) for one in share_within(5, 100)], share_within(0, 10)[0]
    ([0.0164, 0.1128], 0.0)
    """
    tail = (1.0 - level) / 2.0
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1.0 - tail)) if k < n else 1.0
    return low, high


class SampleRatio(msgspec.Struct, frozen=True):
    """The exact e-process for "each unit goes to the canary with the probability that the route asks for".

    Within a stratum (an epoch and a rule) with share θ, the alternative r multiplies the odds: θ_r = rθ/(1-θ+rθ), and

        Bin(k; n, θ_r) / Bin(k; n, θ) = r^k / (1-θ+rθ)^n,

    whose mean is 1 for k ~ Bin(n, θ). One r goes through all strata, so that a splitter that loses half of the
    canary's units adds up its evidence over a ramp, and the e-value is the mean over r. With several canaries each is
    tested against all the rest, and the canaries' e-values are averaged: they are e-processes in the same filtration.
    A likelihood-ratio martingale (Ville 1939; Wald 1945) with a finite mixture over odds; Lindon and Malek (2022),
    NeurIPS, mix with a Dirichlet around the asked shares instead, which is bound to one epoch.

    A share of 0 or 1 leaves nothing to count and says nothing.

    Parameters
    ----------
    canaries : names, in the order of a batch's columns; at least one.
    ratios : of odds, each > 0.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> test = SampleRatio(canaries=("v2",))
    >>> state = test.start()
    >>> for _ in range(20):
    ...     half = ({"v1": 39, "v2": 1}, {"v1": 0.95, "v2": 0.05})
    ...     state = test.observe(state, SplitBatch.of([half], canaries=test.canaries))
    >>> test.log_evidence(state) > 0, test.broken(state)
    (True, False)
    >>> test.broken(test.merge(state, state)), test.split(state, "v2")
    (True, Split(units=800, share=0.025, asked=0.05))
    """

    NAME: ClassVar[str] = "sample-ratio"
    VERSION: ClassVar[int] = 1

    canaries: tuple[str, ...]
    ratios: tuple[float, ...] = RATIOS

    def __post_init__(self) -> None:
        if not self.canaries or len(set(self.canaries)) != len(self.canaries):
            raise ValueError(f"SampleRatio: canaries must be distinct, at least one, found {self.canaries}")
        if not self.ratios or min(self.ratios) <= 0.0:
            raise ValueError(f"SampleRatio: ratios must be > 0, found {self.ratios}")

    def start(self) -> SampleRatioState:
        """No unit seen."""
        zeros = np.zeros(len(self.canaries))
        return SampleRatioState(np.zeros((zeros.size, len(self.ratios))), zeros, zeros, zeros)

    def observe(self, state: SampleRatioState, batch: SplitBatch) -> SampleRatioState:
        """After units that were first seen since the last batch. How they are cut into batches does not matter."""
        if batch.k.shape[1] != len(self.canaries):
            raise ValueError(f"SampleRatio: {len(self.canaries)} canaries, found {batch.k.shape[1]} columns")
        tells = (batch.asked > 0.0) & (batch.asked < 1.0)
        n = np.where(tells, batch.n[:, None], 0.0)
        k = np.where(tells, batch.k, 0.0)
        ratios = np.array(self.ratios)
        spread = np.log1p(batch.asked[:, :, None] * (ratios - 1.0))
        gain = k[:, :, None] * np.log(ratios) - n[:, :, None] * spread
        return SampleRatioState(
            state.log_e + gain.sum(axis=0),
            state.n + n.sum(axis=0),
            state.k + k.sum(axis=0),
            state.expected + (n * batch.asked).sum(axis=0),
        )

    def merge(self, first: SampleRatioState, second: SampleRatioState) -> SampleRatioState:
        """The state after the units of both, which must be different units."""
        return SampleRatioState(
            first.log_e + second.log_e,
            first.n + second.n,
            first.k + second.k,
            first.expected + second.expected,
        )

    def by_canary(self, state: SampleRatioState) -> Floats:
        """[C] log e-value of each canary: the largest names the one whose share is off."""
        top = state.log_e.max(axis=1)
        evidence: Floats = top + np.log(np.exp(state.log_e - top[:, None]).mean(axis=1))
        return evidence

    def log_evidence(self, state: SampleRatioState) -> float:
        """Natural log of the e-value against the split."""
        evidence = self.by_canary(state)
        return float(evidence.max() + np.log(np.exp(evidence - evidence.max()).mean()))

    def broken(self, state: SampleRatioState, alpha: float = ALPHA) -> bool:
        """Whether a healthy split would ever look like this in at most ``alpha`` of all releases."""
        return self.log_evidence(state) >= -log(alpha)

    def split(self, state: SampleRatioState, canary: str) -> Split:
        """The shares seen and asked of one canary, for the sentence that explains; None without units."""
        at = self.canaries.index(canary)
        n = float(state.n[at])
        if n == 0.0:
            return Split(0, None, None)
        return Split(round(n), float(state.k[at]) / n, float(state.expected[at]) / n)
