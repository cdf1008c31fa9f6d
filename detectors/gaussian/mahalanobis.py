"""The multivariate Gaussian: is the combination of metrics unlike the past? An observer."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.debouncing import Debounce
from detectors.gaussian.hotelling import mahalanobis_sq, new_point_limit, oas
from detectors.protocol import Oddness
from detectors.summaries.scatter import Scatter


class MahalanobisState(msgspec.Struct, frozen=True, eq=False):
    """The past's scatter, and which of the last vectors were unusual: bit 0 is the newest."""

    past: Scatter
    unusual: int


class Mahalanobis(msgspec.Struct, frozen=True):
    """Distance of a vector from the past in the past's own covariance, with Hotelling's F limit.

    T² = (x - m)ᵀ S⁻¹ (x - m) against :func:`detectors.gaussian.hotelling.new_point_limit`: exact for Gaussian vectors
    whatever the number of learned ones. With ``shrink`` S is :func:`detectors.gaussian.hotelling.oas`, for metrics that
    nearly depend on each other; the limit is then on the safe side. Windows of a healthy release look odd at the rate
    alpha for ever, so this alerts and never decides.

    Parameters
    ----------
    dimensions : p, metrics in a vector, >= 1.
    alpha : chance that a healthy vector is unusual, within (0, 1).
    warm_up : vectors before the first opinion, at least p + 2.
    shrink : use the shrunk covariance.
    debounce : how many unusual vectors make an alarm.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a vector is not finite or of another length.

    >>> observer = Mahalanobis(dimensions=2, warm_up=5)
    >>> state = observer.start()
    >>> for x in ([0.0, 0.1], [1.0, 1.1], [2.0, 1.9], [3.0, 3.2], [4.0, 3.9], [5.0, 5.1]):
    ...     state = observer.learn(state, np.array(x))
    >>> observer.score(state, np.array([2.5, 2.5])).unusual, observer.score(state, np.array([0.0, 5.0])).unusual
    (False, True)
    """

    NAME: ClassVar[str] = "mahalanobis"
    VERSION: ClassVar[int] = 1

    dimensions: int
    alpha: float = 0.0027
    warm_up: int = 30
    shrink: bool = False
    debounce: Debounce = Debounce()

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.warm_up < self.dimensions + 2 or not 0.0 < self.alpha < 1.0:
            raise ValueError(
                "Mahalanobis: dimensions >= 1, warm_up >= dimensions + 2 and alpha within (0, 1), "
                f"found {self.dimensions}, {self.warm_up}, {self.alpha}"
            )

    def start(self) -> MahalanobisState:
        """Nothing known."""
        return MahalanobisState(Scatter.empty(self.dimensions), 0)

    def score(self, state: MahalanobisState, x: Floats) -> Oddness:
        """What the past says of this vector: T² and its limit."""
        check_vector(self.NAME, x, self.dimensions)
        if state.past.n < self.warm_up:
            return Oddness()
        covariance = oas(state.past)[0] if self.shrink else state.past.s / (state.past.n - 1)
        t2 = float(mahalanobis_sq(x[None, :], state.past.mean, covariance)[0])
        limit = new_point_limit(state.past.n, self.dimensions, self.alpha)
        unusual = t2 > limit
        return Oddness(t2, limit, unusual, self.debounce.alarm(self.debounce.after(state.unusual, unusual)))

    def learn(self, state: MahalanobisState, x: Floats) -> MahalanobisState:
        """The state with this vector in its past."""
        return self.learn_scored(state, x, self.score(state, x))

    def learn_scored(self, state: MahalanobisState, x: Floats, said: Oddness) -> MahalanobisState:
        """The same for a caller that has the score already."""
        unusual = self.debounce.after(state.unusual, bool(said.unusual))
        return MahalanobisState(state.past.merge(Scatter.of(x[None, :])), unusual)


def check_vector(name: str, x: Floats, dimensions: int) -> None:
    """Refuse a vector that is not finite or of another length."""
    if x.shape != (dimensions,) or not np.isfinite(x).all():
        raise ValueError(f"{name}: a vector has {dimensions} finite numbers, found {x.tolist()}")
