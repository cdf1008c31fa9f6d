"""The online Gaussian with a season: is this value unlike the past at this time of the day? An observer."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar, NamedTuple, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.debouncing import Debounce
from detectors.gaussian.online import unlike
from detectors.protocol import Score

A = TypeVar("A", Ints, Floats)


class Timed(NamedTuple):
    """A value, and the Unix ms of log time that it belongs to."""

    at_ms: int
    value: float


class SeasonalState(msgspec.Struct, frozen=True, eq=False):
    """What is known of each phase, and which of the last values were unusual: bit 0 is the newest.

    Parameters
    ----------
    n, mean, variance : [K] values seen in each phase, their mean and variance.
    seasons, last : [K] different seasons in which each phase was seen, and the number of the last of them.
    """

    n: Ints
    mean: Floats
    variance: Floats
    seasons: Ints
    last: Ints
    unusual: int = 0


class SeasonalGaussian(msgspec.Struct, frozen=True):
    """z-score against mean and standard deviation of the same phase of earlier seasons, with debouncing.

    The season is cut into K phases of equal length, phase = floor(K (t mod period) / period), counted from the epoch:
    for a period of a day from midnight UTC. Each phase has an exponentially weighted mean and variance of its own,
    m ← m + aD and v ← (1-a)(v + aD²) with a = max(λ, 1/n) (Finch 2009, eq. 143): while n ≤ 1/λ all its values weigh
    alike, so that the first one does not outweigh the rest for days. A phase says nothing until it was seen in
    ``seasons`` earlier seasons, and does not borrow an opinion from others.

    Parameters
    ----------
    period_ms : length of the season, > 0.
    phases : K, 2 to 672.
    forgetting : λ within (0, 1), for each value of a phase.
    sigmas : limit on abs(z), > 0.
    warm_up, seasons : values of a phase, and earlier seasons that they come from, before its first opinion; >= 2, >= 1.
    debounce : how many of the last values make an alarm, whatever their phases.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a value is not finite.

    >>> day = SeasonalGaussian(period_ms=100, phases=2, warm_up=2, seasons=1, debounce=Debounce(fires=1, of_last=1))
    >>> state = day.start()
    >>> for at_ms, x in ((0, 10.0), (20, 12.0), (50, 90.0), (70, 92.0)):
    ...     state = day.learn(state, Timed(at_ms, x))
    >>> day.score(state, Timed(40, 11.0)).unusual is None, day.score(state, Timed(100, 11.0))
    (True, Score(z=0.0, unusual=False, alarm=False))
    >>> day.score(state, Timed(150, 11.0))
    Score(z=-80.0, unusual=True, alarm=True)
    """

    NAME: ClassVar[str] = "seasonal-gaussian"
    VERSION: ClassVar[int] = 1

    period_ms: int
    phases: int = 96
    forgetting: float = 0.02
    sigmas: float = 3.0
    warm_up: int = 30
    seasons: int = 2
    debounce: Debounce = Debounce()

    def __post_init__(self) -> None:
        if self.period_ms <= 0 or not 2 <= self.phases <= 672:
            raise ValueError(
                "SeasonalGaussian: period_ms must be > 0 and phases 2 to 672, "
                f"found period_ms={self.period_ms}, phases={self.phases}"
            )
        if not 0.0 < self.forgetting < 1.0 or not self.sigmas > 0.0:
            raise ValueError(
                "SeasonalGaussian: forgetting must be within (0, 1) and sigmas > 0, "
                f"found forgetting={self.forgetting}, sigmas={self.sigmas}"
            )
        if self.warm_up < 2 or self.seasons < 1:
            raise ValueError(
                "SeasonalGaussian: warm_up must be >= 2 and seasons >= 1, "
                f"found warm_up={self.warm_up}, seasons={self.seasons}"
            )

    def start(self) -> SeasonalState:
        """Nothing known of any phase."""
        numbers, counts = np.zeros(self.phases), np.zeros(self.phases, dtype=np.int64)
        return SeasonalState(counts, numbers, numbers, counts, np.full(self.phases, -1, dtype=np.int64))

    def usual(self, state: SeasonalState, at_ms: int) -> float | None:
        """The mean of the phase that a moment lies in; None when the phase is not known."""
        phase = self._phase(at_ms)
        earlier = int(state.seasons[phase]) - int(state.last[phase] == at_ms // self.period_ms)
        known = earlier >= self.seasons and state.n[phase] >= self.warm_up
        return float(state.mean[phase]) if known else None

    def score(self, state: SeasonalState, x: Timed) -> Score:
        """What earlier seasons say of this value. Unlike a constant phase it is unusual, without a z."""
        _check(x.value)
        mean = self.usual(state, x.at_ms)
        if mean is None:
            return Score(None, None, None)
        variance = float(state.variance[self._phase(x.at_ms)])
        z, unusual = unlike(x.value, mean=mean, variance=variance, sigmas=self.sigmas)
        return Score(z, unusual, self.debounce.alarm(self.debounce.after(state.unusual, unusual)))

    def learn(self, state: SeasonalState, x: Timed) -> SeasonalState:
        """The state with this value in the past of its phase."""
        unusual = self.debounce.after(state.unusual, bool(self.score(state, x).unusual))
        phase, season = self._phase(x.at_ms), x.at_ms // self.period_ms
        n = int(state.n[phase]) + 1
        weight = max(self.forgetting, 1 / n)
        difference = x.value - float(state.mean[phase])
        variance = (1.0 - weight) * (float(state.variance[phase]) + weight * difference * difference)
        is_new = season > state.last[phase]
        return SeasonalState(
            _with(state.n, phase, n),
            _with(state.mean, phase, float(state.mean[phase]) + weight * difference),
            _with(state.variance, phase, variance),
            _with(state.seasons, phase, int(state.seasons[phase]) + 1) if is_new else state.seasons,
            _with(state.last, phase, season) if is_new else state.last,
            unusual,
        )

    def _phase(self, at_ms: int) -> int:
        return at_ms % self.period_ms * self.phases // self.period_ms


def _with(array: A, place: int, number: float) -> A:
    """The array with one number changed; the old one stays."""
    changed = array.copy()
    changed[place] = number
    return changed


def _check(x: float) -> None:
    if not isfinite(x):
        raise ValueError(f"SeasonalGaussian: a value must be finite, found {x}")
