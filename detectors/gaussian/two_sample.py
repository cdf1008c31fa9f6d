"""Two samples: is the canary's window unlike the baseline's of the same time? An observer."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import ClassVar, NamedTuple

import msgspec
from scipy.special import ndtr, stdtr

from detectors.debouncing import Debounce
from detectors.protocol import Score
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate


class Compared(NamedTuple):
    """A statistic, and how often chance is at least as far from 0 either way."""

    statistic: float
    p: float


def welch(first: Moments, second: Moments) -> Compared | None:
    """t = (m₁ - m₂) / √(s₁²/n₁ + s₂²/n₂) with Welch's (1947) degrees of freedom; None without spread or values.

    >>> welch(Moments(3, 2.0, 2.0), Moments(3, 2.0, 2.0))
    Compared(statistic=0.0, p=1.0)
    """
    if first.variance is None or second.variance is None:
        return None
    a, b = first.variance / first.n, second.variance / second.n
    if not 0.0 < a + b < float("inf"):
        return None
    share = a / (a + b)
    degrees = 1.0 / (share**2 / (first.n - 1) + (1.0 - share) ** 2 / (second.n - 1))
    statistic = (first.mean - second.mean) / sqrt(a + b)
    return Compared(statistic, 2.0 * float(stdtr(degrees, -abs(statistic))))


def two_proportions(first: Rate, second: Rate) -> Compared | None:
    """z = (p₁ - p₂) / √(p(1-p)(1/n₁ + 1/n₂)) with the pooled p; None when all or none have the property.

    >>> two_proportions(Rate(100, 5), Rate(100, 5))
    Compared(statistic=0.0, p=1.0)
    """
    if not first.n or not second.n:
        return None
    pooled = (first.k + second.k) / (first.n + second.n)
    if not 0.0 < pooled < 1.0:
        return None
    gap = first.k / first.n - second.k / second.n
    statistic = gap / sqrt(pooled * (1.0 - pooled) * (1.0 / first.n + 1.0 / second.n))
    return Compared(statistic, 2.0 * float(ndtr(-abs(statistic))))


class TwoSampleState(msgspec.Struct, frozen=True):
    """Which of the last pairs were unusual: bit 0 is the newest; and how many there were."""

    n: int = 0
    unusual: int = 0


class TwoSample(msgspec.Struct, frozen=True):
    """Welch's test (means) or the two-proportion z test (rates) on one window of both versions, with debouncing.

    Over many windows it fires on healthy releases at the rate alpha in each, so it alerts and never decides. What it
    adds to the gates: it speaks of this window alone, which explains when something happened.

    Parameters
    ----------
    alpha : chance that a healthy window is unusual, within (0, 1).
    debounce : how many unusual windows make an alarm.

    Raises
    ------
    ValueError : when alpha is outside its domain.

    >>> observer = TwoSample(debounce=Debounce(fires=1, of_last=1))
    >>> observer.score(observer.start(), (Moments(50, 2.0, 49.0), Moments(50, 1.0, 49.0))).alarm
    True
    """

    NAME: ClassVar[str] = "two-sample"
    VERSION: ClassVar[int] = 1

    alpha: float = 0.0027
    debounce: Debounce = Debounce()

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"TwoSample: alpha must be within (0, 1), found {self.alpha}")

    def start(self) -> TwoSampleState:
        """Nothing seen."""
        return TwoSampleState()

    def score(self, state: TwoSampleState, pair: tuple[Moments, Moments] | tuple[Rate, Rate]) -> Score:
        """What this window says: canary first, baseline second. Unknown when the two cannot be compared."""
        found = _compared(pair)
        if found is None or not isfinite(found.statistic):
            return Score(None, None, None)
        unusual = found.p < self.alpha
        return Score(found.statistic, unusual, self.debounce.alarm(self.debounce.after(state.unusual, unusual)))

    def learn(self, state: TwoSampleState, pair: tuple[Moments, Moments] | tuple[Rate, Rate]) -> TwoSampleState:
        """The state with this window among the last."""
        unusual = self.score(state, pair).unusual
        if unusual is None:
            return state
        return TwoSampleState(state.n + 1, self.debounce.after(state.unusual, unusual))


def _compared(pair: tuple[Moments, Moments] | tuple[Rate, Rate]) -> Compared | None:
    match pair:
        case (Rate() as ours, Rate() as theirs):
            return two_proportions(ours, theirs)
        case (Moments() as ours, Moments() as theirs):
            return welch(ours, theirs)
        case _:
            raise TypeError("TwoSample: a pair of moments or a pair of rates")
