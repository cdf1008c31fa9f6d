"""The online Gaussian: is this value unlike the past? An observer."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import ClassVar

import msgspec

from detectors.protocol import Score


class OnlineGaussianState(msgspec.Struct, frozen=True):
    """Values seen, mean, variance (not m2), and which of the last values were unusual: bit 0 is the newest."""

    n: int = 0
    mean: float = 0.0
    variance: float = 0.0
    unusual: int = 0


class OnlineGaussian(msgspec.Struct, frozen=True):
    """z-score against the past's mean and standard deviation, and the 3-sigma rule with debouncing.

    Without forgetting: Welford (1962), m ← m + D/n, sample variance. With forgetting λ: exponentially weighted,
    m ← m + λD and v ← (1-λ)(v + λD²) from m = first value and v = 0 (Finch 2009, eq. 143). At one look a minute a
    plain 3-sigma rule fires on almost every healthy release; so this alerts and never decides.

    Parameters
    ----------
    forgetting : λ within (0, 1), or None to weigh all values alike.
    sigmas : limit on abs(z), > 0.
    warm_up : values before the first opinion, >= 2.
    fires, of_last : alarm when at least ``fires`` of the ``of_last`` latest values are unusual, 1 <= fires <= of_last
        <= 60.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a value is not finite.

    >>> observer = OnlineGaussian(warm_up=3, fires=1, of_last=1)
    >>> state = observer.start()
    >>> for x in (1.0, 2.0, 3.0):
    ...     state = observer.learn(state, x)
    >>> observer.score(state, 9.0)
    Score(z=7.0, unusual=True, alarm=True)
    >>> observer.score(observer.start(), 9.0).unusual is None
    True
    """

    NAME: ClassVar[str] = "online-gaussian"
    VERSION: ClassVar[int] = 1

    forgetting: float | None = None
    sigmas: float = 3.0
    warm_up: int = 30
    fires: int = 3
    of_last: int = 5

    def __post_init__(self) -> None:
        if self.forgetting is not None and not 0.0 < self.forgetting < 1.0:
            raise ValueError(f"OnlineGaussian: forgetting must be within (0, 1), found {self.forgetting}")
        if not self.sigmas > 0.0 or self.warm_up < 2:
            raise ValueError(
                "OnlineGaussian: sigmas must be > 0 and warm_up >= 2, "
                f"found sigmas={self.sigmas}, warm_up={self.warm_up}"
            )
        if not 1 <= self.fires <= self.of_last <= 60:
            raise ValueError(
                f"OnlineGaussian: 1 <= fires <= of_last <= 60, found fires={self.fires}, of_last={self.of_last}"
            )

    def start(self) -> OnlineGaussianState:
        """Nothing known."""
        return OnlineGaussianState()

    def score(self, state: OnlineGaussianState, x: float) -> Score:
        """What the past says of this value. A value unlike a constant past is unusual, without a z."""
        _check(x)
        if state.n < self.warm_up:
            return Score(None, None, None)
        z, unusual = unlike(x, mean=state.mean, variance=state.variance, sigmas=self.sigmas)
        alarm = (state.unusual << 1 | unusual) & (1 << self.of_last) - 1
        return Score(z, unusual, alarm.bit_count() >= self.fires)

    def learn(self, state: OnlineGaussianState, x: float) -> OnlineGaussianState:
        """The state with this value in its past."""
        unusual = (state.unusual << 1 | bool(self.score(state, x).unusual)) & (1 << self.of_last) - 1
        n = state.n + 1
        difference = x - state.mean
        if n == 1:
            return OnlineGaussianState(1, x, 0.0, unusual)
        if self.forgetting is None:
            mean = state.mean + difference / n
            m2 = state.variance * (n - 2) + difference * (x - mean)
            variance = m2 / (n - 1)
        else:
            mean = state.mean + self.forgetting * difference
            variance = (1.0 - self.forgetting) * (state.variance + self.forgetting * difference * difference)
        return OnlineGaussianState(n, mean, variance, unusual)


def unlike(x: float, *, mean: float, variance: float, sigmas: float) -> tuple[float | None, bool]:
    """z of a value, None without spread, and whether it is unusual: beyond so many sigmas, or unlike a constant."""
    z = (x - mean) / sqrt(variance) if variance > 0.0 else None
    if z is None or not isfinite(z):
        return None, x != mean
    return z, abs(z) > sigmas


def _check(x: float) -> None:
    if not isfinite(x):
        raise ValueError(f"OnlineGaussian: a value must be finite, found {x}")
