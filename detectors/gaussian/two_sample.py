"""Two samples: is the canary's window unlike the baseline's of the same time? An observer."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import ClassVar, Final, NamedTuple

import msgspec
from scipy.special import chdtrc, ndtr, ndtri, stdtr

from detectors.debouncing import Debounce
from detectors.protocol import Score
from detectors.summaries.counts import Counts
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate

EXPECTED_MIN: Final = 5.0
"""Of a value in each arm of one window, for X² to be nearly chi-squared."""

_P_MIN: Final = 1e-300

Pair = tuple[Moments, Moments] | tuple[Rate, Rate] | tuple[Counts, Counts]


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


def homogeneity(first: Counts, second: Counts) -> Compared | None:
    """Pearson's X² (1900) that both have the same mix, as the distance z of a normal value that is as rare.

    Values that are expected fewer than EXPECTED_MIN times in an arm count as one together, or not at all when they are
    too few even so (Cochran 1954). None with fewer than two values left.

    >>> homogeneity(Counts({"stop": 80, "length": 20}), Counts({"stop": 80, "length": 20}))
    Compared(statistic=0.0, p=1.0)
    """
    n = first.n + second.n
    smaller = min(first.n, second.n) / n if n else 0.0
    totals = Counts.merge_all((first, second)).counts
    common = [name for name, count in totals.items() if count * smaller >= EXPECTED_MIN]
    table = [(first.counts.get(name, 0), second.counts.get(name, 0)) for name in common]
    rest = (first.n - sum(a for a, _ in table), second.n - sum(b for _, b in table))
    if sum(rest) * smaller >= EXPECTED_MIN:
        table.append(rest)
    if len(table) < 2:
        return None
    n_a, n_b = sum(a for a, _ in table), sum(b for _, b in table)
    x2 = sum((a * n_b - b * n_a) ** 2 / (n_a * n_b * (a + b)) for a, b in table)
    p = float(chdtrc(len(table) - 1, x2))
    return Compared(abs(float(ndtri(max(p, _P_MIN) / 2.0))), p)


class TwoSampleState(msgspec.Struct, frozen=True):
    """Which of the last pairs were unusual: bit 0 is the newest; and how many there were."""

    n: int = 0
    unusual: int = 0


class TwoSample(msgspec.Struct, frozen=True):
    """Welch's test (means), the two-proportion z test (rates) or X² (output mixes) on one window of both versions.

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

    def score(self, state: TwoSampleState, pair: Pair) -> Score:
        """What this window says: canary first, baseline second. Unknown when the two cannot be compared."""
        found = _compared(pair)
        if found is None or not isfinite(found.statistic):
            return Score(None, None, None)
        unusual = found.p < self.alpha
        return Score(found.statistic, unusual, self.debounce.alarm(self.debounce.after(state.unusual, unusual)))

    def learn(self, state: TwoSampleState, pair: Pair) -> TwoSampleState:
        """The state with this window among the last."""
        unusual = self.score(state, pair).unusual
        if unusual is None:
            return state
        return TwoSampleState(state.n + 1, self.debounce.after(state.unusual, unusual))


def _compared(pair: Pair) -> Compared | None:
    match pair:
        case (Rate() as ours, Rate() as theirs):
            return two_proportions(ours, theirs)
        case (Moments() as ours, Moments() as theirs):
            return welch(ours, theirs)
        case (Counts() as ours, Counts() as theirs):
            return homogeneity(ours, theirs)
        case _:
            raise TypeError("TwoSample: a pair of moments, of rates or of counts")
