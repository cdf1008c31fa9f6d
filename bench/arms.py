"""What the rules that Serinus is compared with look at: seconds, windows of them, and the heap since the start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detectors.summaries.moments import Moments


@dataclass(frozen=True, slots=True)
class Second:
    """What happened in one second: per metric the moments of both arms; an error counts as 1. Higher is worse."""

    at_s: int
    baseline: dict[str, Moments]
    canary: dict[str, Moments]


class Windows:
    """Sums of the seconds of one window."""

    def __init__(self, length_s: int) -> None:
        self._length_s = length_s
        self._parts: list[Second] = []

    def add(self, second: Second) -> tuple[dict[str, Moments], dict[str, Moments]] | None:
        """The arms of the window that this second completes, or None."""
        self._parts.append(second)
        if (second.at_s + 1) % self._length_s:
            return None
        parts, self._parts = self._parts, []
        return _merged([part.baseline for part in parts]), _merged([part.canary for part in parts])


def _merged(parts: Sequence[dict[str, Moments]]) -> dict[str, Moments]:
    names = {name for part in parts for name in part}
    return {name: Moments.merge_all(part[name] for part in parts if name in part) for name in sorted(names)}


class Difference(NamedTuple):
    """The canary's mean minus the baseline's, the variance of that and of single values, requests of the canary."""

    d: float
    v: float
    spread: float
    n: int

    @property
    def z(self) -> float:
        return self.d / math.sqrt(self.v)


class Pooled:
    """Everything since the start, in one heap per arm: what drifts while the share ramps is mistaken for an effect."""

    def __init__(self) -> None:
        self.baseline: dict[str, Moments] = {}
        self.canary: dict[str, Moments] = {}

    def add(self, second: Second) -> None:
        self.baseline = _merged([self.baseline, second.baseline])
        self.canary = _merged([self.canary, second.canary])

    def differences(self) -> list[Difference]:
        """Of each metric with at least 30 requests in both arms."""
        found: list[Difference] = []
        for name, canary in self.canary.items():
            baseline = self.baseline.get(name)
            if baseline is None or min(baseline.n, canary.n) < 30:
                continue
            spread = (canary.m2 + baseline.m2) / (canary.n + baseline.n - 2)
            variance = spread * (1 / canary.n + 1 / baseline.n)
            if variance > 0:
                found.append(Difference(canary.mean - baseline.mean, variance, spread, canary.n))
        return found
