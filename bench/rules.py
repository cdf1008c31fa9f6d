"""What people use today to judge a canary, as small models: each looks at the same seconds of the same traffic.

Every rule sees totals over segments, is asked once a second whether the canary has failed, and says so once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.stats import norm

from bench.arms import Difference, Pooled, Second, Windows
from detectors.summaries.moments import Moments

ALPHA = 0.05
WINDOW_S = 10
CHECK_S = 60


class Rule(Protocol):
    """One way to decide."""

    name: str

    def failed(self, second: Second) -> bool:
        """Take a second in; whether the canary is to be rolled back now."""
        ...

    def refused(self) -> bool:
        """Asked once, when the canary would be promoted: whether it must not be."""
        ...


@dataclass(slots=True)
class ThreeSigma:
    """A window of the canary beyond three standard deviations of the baseline's windows so far, at least 12 of them."""

    name: str = "3-sigma per window"
    _windows: Windows = field(default_factory=lambda: Windows(WINDOW_S))
    _past: dict[str, list[float]] = field(default_factory=dict)

    def failed(self, second: Second) -> bool:
        window = self._windows.add(second)
        if window is None:
            return False
        baseline, canary = window
        bad = False
        for name, arm in canary.items():
            past = self._past.get(name, [])
            if len(past) >= 12 and arm.n:
                bad |= arm.mean > float(np.mean(past)) + 3 * float(np.std(past, ddof=1))
        for name, arm in baseline.items():
            if arm.n:
                self._past.setdefault(name, []).append(arm.mean)
        return bad

    def refused(self) -> bool:
        return False


@dataclass(slots=True)
class Thresholds:
    """A model of Flagger and of Argo Rollouts: a fixed threshold, checked every minute; the fifth failed check ends it.

    Parameters
    ----------
    limits : metric to the largest mean allowed in a minute: here the healthy mean and the margin of the plan, which is
        more than people know when they write such a threshold.
    """

    limits: dict[str, float]
    name: str = "fixed thresholds, limit 5"
    failures_max: int = 5
    _failures: int = 0
    _windows: Windows = field(default_factory=lambda: Windows(CHECK_S))

    def failed(self, second: Second) -> bool:
        window = self._windows.add(second)
        if window is None:
            return False
        _, canary = window
        self._failures += any(arm.n and arm.mean > self.limits[name] for name, arm in canary.items())
        return self._failures >= self.failures_max

    def refused(self) -> bool:
        return False


@dataclass(slots=True)
class MannWhitney:
    """Kayenta's published rule on minute averages since the start, every five minutes.

    A metric is bad when the 98 % confidence interval of the shift lies above a quarter of its estimate (the
    Hodges-Lehmann one), by the normal approximation of the rank sum.
    """

    name: str = "Mann–Whitney 98 %, tolerance 0.25"
    confidence: float = 0.98
    tolerance: float = 0.25
    every: int = 5
    _windows: Windows = field(default_factory=lambda: Windows(CHECK_S))
    _points: list[tuple[dict[str, Moments], dict[str, Moments]]] = field(default_factory=list)

    def failed(self, second: Second) -> bool:
        window = self._windows.add(second)
        if window is None:
            return False
        self._points.append(window)
        return len(self._points) % self.every == 0 and self._high()

    def refused(self) -> bool:
        return self._high()

    def _high(self) -> bool:
        names = sorted({name for _, canary in self._points for name in canary})
        return any(self._shifted(name) for name in names)

    def _shifted(self, name: str) -> bool:
        control = np.array([b[name].mean for b, _ in self._points if name in b and b[name].n])
        experiment = np.array([c[name].mean for _, c in self._points if name in c and c[name].n])
        n, m = control.size, experiment.size
        if min(n, m) < 5:
            return False
        shifts = np.sort((experiment[:, None] - control[None, :]).ravel())
        estimate = float(np.median(shifts))
        z = float(norm.ppf(0.5 + self.confidence / 2))
        rank = math.floor(n * m / 2 - z * math.sqrt(n * m * (n + m + 1) / 12))
        return rank >= 0 and float(shifts[rank]) > self.tolerance * abs(estimate)


@dataclass(slots=True)
class PeekingZ:
    """A z test on everything since the start, at 5 %, looked at every second as if each look were the only one."""

    name: str = "z test, peeking"
    _pooled: Pooled = field(default_factory=Pooled)

    def failed(self, second: Second) -> bool:
        self._pooled.add(second)
        return any(one.z > norm.ppf(1 - ALPHA) for one in self._pooled.differences())

    def refused(self) -> bool:
        return False


@dataclass(slots=True)
class FixedHorizonZ:
    """The same z test once, before the promotion, with alpha divided by the number of metrics: right, but late."""

    name: str = "z test, fixed horizon"
    _pooled: Pooled = field(default_factory=Pooled)

    def failed(self, second: Second) -> bool:
        self._pooled.add(second)
        return False

    def refused(self) -> bool:
        found = self._pooled.differences()
        return any(one.z > norm.ppf(1 - ALPHA / len(found)) for one in found)


@dataclass(slots=True)
class Msprt:
    """The mixture SPRT (Robbins; Johari, Pekelis and Walsh 2017) on everything since the start; alpha by Bonferroni.

    log L = ½ ln(V/(V+τ²)) + τ² d² / (2 V (V+τ²)), V the variance of the difference d, with τ of a tenth of the standard
    deviation.
    """

    name: str = "mSPRT, pooled"
    tau: float = 0.1
    _pooled: Pooled = field(default_factory=Pooled)

    def failed(self, second: Second) -> bool:
        self._pooled.add(second)
        found = self._pooled.differences()
        return any(one.d > 0 and self._log(one) >= math.log(len(found) / ALPHA) for one in found)

    def refused(self) -> bool:
        return False

    def _log(self, one: Difference) -> float:
        tau2 = self.tau**2 * one.spread
        return 0.5 * math.log(one.v / (one.v + tau2)) + tau2 * one.d**2 / (2 * one.v * (one.v + tau2))


@dataclass(slots=True)
class PooledSequence:
    """A one-sided asymptotic confidence sequence (Waudby-Smith et al. 2024, eq. 134) on the pool since the start.

    It may be looked at at any time and has its alpha divided among the metrics: only the pooling is wrong.
    """

    name: str = "confidence sequence, pooled"
    tuned_n: int = 500
    _pooled: Pooled = field(default_factory=Pooled)

    def failed(self, second: Second) -> bool:
        self._pooled.add(second)
        found = self._pooled.differences()
        return any(one.d > self._bound(one, 2 * ALPHA / len(found)) for one in found)

    def refused(self) -> bool:
        return False

    def _bound(self, one: Difference, alpha: float) -> float:
        """``alpha`` is twice the error of one side."""
        rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / self.tuned_n
        t = one.n * rho2 + 1
        return math.sqrt(one.v * 2 * t / (one.n * rho2) * math.log(1 + math.sqrt(t) / alpha))


@dataclass(slots=True)
class OracleSprt:
    """Wald's SPRT by somebody who knows both versions' distributions, the effect, and when it begins: a lower bound.

    Parameters
    ----------
    metric : that changes.
    healthy, harmed : its mean without and with the effect.
    sd : of the metric; not read for rates.
    onset_s : when the effect begins.
    """

    metric: str
    healthy: float
    harmed: float
    sd: float
    onset_s: float
    name: str = "oracle SPRT"
    _log: float = 0.0

    def failed(self, second: Second) -> bool:
        arm = second.canary.get(self.metric)
        if arm is None or second.at_s < self.onset_s:
            return False
        if self.metric == "error_rate":
            bad = arm.mean * arm.n
            self._log += bad * math.log(self.harmed / self.healthy)
            self._log += (arm.n - bad) * math.log((1 - self.harmed) / (1 - self.healthy))
        else:
            shift = self.harmed - self.healthy
            self._log += arm.n * (shift * (arm.mean - self.healthy) - shift**2 / 2) / self.sd**2
        return self._log >= math.log(1 / ALPHA)

    def refused(self) -> bool:
        return False
