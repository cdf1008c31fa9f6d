"""MEWMA: small lasting shifts of several metrics at once, and its run lengths. An observer."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final

import msgspec
import numpy as np
from scipy.optimize import brentq
from scipy.stats import ncx2

from detectors.arrays import Floats
from detectors.gaussian.hotelling import mahalanobis_sq
from detectors.gaussian.mahalanobis import check_vector
from detectors.protocol import Oddness
from detectors.summaries.scatter import Scatter

_RINGS: Final = 60


def run_length(limit: float, dimensions: int, weight: float) -> float:
    """Average number of vectors until a healthy process is beyond the limit.

    Of Gaussian vectors with known mean and covariance ‖z‖ is a Markov chain: given ‖z‖ = r the next ‖z‖²/λ² is
    non-central chi-squared with p degrees of freedom and non-centrality ((1-λ) r/λ)². Its range is cut into rings
    (Runger and Prabhu 1996, Journal of Applied Statistics 23).

    Parameters
    ----------
    limit : h on T², > 0. dimensions : p >= 1. weight : λ within (0, 1).

    >>> round(run_length(8.64, 2, 0.1), -1), round(run_length(12.73, 4, 0.1), -1)
    (200.0, 200.0)
    """
    radius = np.sqrt(limit * weight / (2.0 - weight))
    width = 2.0 * radius / (2 * _RINGS + 1)
    middles = np.arange(_RINGS + 1) * width
    edges = (np.arange(_RINGS + 1) + 0.5) * width
    centrality = ((1.0 - weight) * middles / weight) ** 2
    below = ncx2.cdf((edges[None, :] / weight) ** 2, dimensions, centrality[:, None])
    moves = np.diff(below, axis=1, prepend=0.0)
    lengths = np.linalg.solve(np.eye(_RINGS + 1) - moves, np.ones(_RINGS + 1))
    return float(lengths[0])


@lru_cache(maxsize=64)
def limit_for(average: float, dimensions: int, weight: float) -> float:
    """The limit at which a healthy process runs for ``average`` vectors.

    >>> round(limit_for(200.0, 2, 0.1), 1)
    8.6
    """
    high = 2.0 * dimensions
    while run_length(high, dimensions, weight) < average:
        high *= 1.5
    return float(brentq(lambda h: run_length(h, dimensions, weight) - average, 1e-3, high, xtol=1e-6))


class MewmaState(msgspec.Struct, frozen=True, eq=False):
    """Scatter of the learning period, exponentially weighted mean z of the standardised vectors since, how many."""

    past: Scatter
    z: Floats
    n: int


class Mewma(msgspec.Struct, frozen=True):
    """The multivariate exponentially weighted moving average chart.

    z ← λ (x - m) + (1-λ) z and T² = zᵀ [λ/(2-λ) S]⁻¹ z > h, m and S from the learning period. It remembers, so three
    metrics that shift by half a standard deviation are found in ten windows where T² of one window takes fifty; an
    alarm needs no debouncing. Lowry, Woodall, Champ and Rigdon (1992), Technometrics 34. The run length is that of a
    known S; an estimated one shortens it.

    Parameters
    ----------
    dimensions : p >= 1.
    average : healthy vectors between false alarms on average, > 1.
    weight : λ within (0, 1): the smaller, the longer it remembers.
    learning : vectors that m and S are taken from, at least p + 2.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a vector is not finite or of another length.

    >>> observer = Mewma(dimensions=1, learning=4)
    >>> state = observer.start()
    >>> alarms = []
    >>> for x in (1.0, -1.0, 1.0, -1.0, *[1.5] * 9):
    ...     alarms.append(observer.score(state, np.array([x])).alarm)
    ...     state = observer.learn(state, np.array([x]))
    >>> alarms[3:6], True in alarms
    ([None, False, False], True)
    """

    NAME: ClassVar[str] = "mewma"
    VERSION: ClassVar[int] = 1

    dimensions: int
    average: float = 200.0
    weight: float = 0.1
    learning: int = 30

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.learning < self.dimensions + 2:
            raise ValueError(
                f"Mewma: dimensions >= 1 and learning >= dimensions + 2, found {self.dimensions}, {self.learning}"
            )
        if not (0.0 < self.weight < 1.0 and self.average > 1.0):
            raise ValueError(f"Mewma: weight within (0, 1) and average > 1, found {self.weight}, {self.average}")

    def start(self) -> MewmaState:
        """Nothing known."""
        return MewmaState(Scatter.empty(self.dimensions), np.zeros(self.dimensions), 0)

    def score(self, state: MewmaState, x: Floats) -> Oddness:
        """What the past says of this vector and those before it: T² and its limit."""
        check_vector(self.NAME, x, self.dimensions)
        if state.past.n < self.learning:
            return Oddness()
        factor = self.weight / (2.0 - self.weight)
        covariance = state.past.s / (state.past.n - 1)
        z = self._moved(state, x)
        t2 = float(mahalanobis_sq((state.past.mean + z)[None, :], state.past.mean, covariance)[0]) / factor
        limit = limit_for(self.average, self.dimensions, self.weight)
        return Oddness(t2, limit, t2 > limit, t2 > limit)

    def learn(self, state: MewmaState, x: Floats) -> MewmaState:
        """The state with this vector in it. After an alarm z begins anew at zero."""
        return self.learn_scored(state, x, self.score(state, x))

    def learn_scored(self, state: MewmaState, x: Floats, said: Oddness) -> MewmaState:
        """The same for a caller that has the score already."""
        if state.past.n < self.learning:
            return MewmaState(state.past.merge(Scatter.of(x[None, :])), state.z, 0)
        if said.alarm:
            return MewmaState(state.past, np.zeros(self.dimensions), 0)
        return MewmaState(state.past, self._moved(state, x), state.n + 1)

    def _moved(self, state: MewmaState, x: Floats) -> Floats:
        moved: Floats = self.weight * (x - state.past.mean) + (1.0 - self.weight) * state.z
        return moved
