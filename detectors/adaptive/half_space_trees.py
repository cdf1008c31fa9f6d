"""Half-space trees: is a window's vector where few were before? An observer, by river."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import numpy as np
from river import anomaly

from detectors.arrays import Floats
from detectors.debouncing import Debounce
from detectors.gaussian.mahalanobis import check_vector
from detectors.protocol import Oddness

_SEED: Final = 20261120
_USUAL: Final = 0.95
_RENEWED_EVERY: Final = 16
"""Vectors after which the trees are built anew from the latest window: building them is what takes time."""
_SPREADS: Final = 8.0
"""The trees' range covers four standard deviations to each side of the past's mean."""


class HalfSpaceTreesState(msgspec.Struct, frozen=True, eq=False):
    """What the trees are built from, and what they will be built from next.

    Parameters
    ----------
    reference : [window, p] the vectors behind the trees; [0, p] before there are enough.
    past : [n, p] the last vectors, oldest first.
    waiting : vectors since the trees were renewed.
    unusual : which of the last opinions were unusual: bit 0 is the newest.
    """

    reference: Floats
    past: Floats
    waiting: int
    unusual: int


class HalfSpaceTrees(msgspec.Struct, frozen=True):
    """river's half-space trees, the online isolation forest, over a window of vectors that is renewed in steps.

    The state holds the last vectors and not the trees: those are built from them with a fixed seed, so a state needs no
    pickle, is bounded, and gives the same scores after a restart on any machine. Vectors are scaled by the past's mean
    and standard deviation. A vector is unusual when its score is above that of nineteen in twenty of the vectors that
    the trees were built from (with the highest as the limit, the first odd window would make the next ones usual).
    Tan, Ting and Liu (2011), IJCAI.

    Parameters
    ----------
    dimensions : p >= 1.
    window : vectors that the trees are built from, >= 10; before that many there is no opinion.
    trees, height : size of the forest, each >= 1.
    debounce : how many unusual vectors make an alarm.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a vector is not finite or of another length.

    >>> observer = HalfSpaceTrees(dimensions=2, window=20)
    >>> state = observer.start()
    >>> for i in range(20):
    ...     state = observer.learn(state, np.array([i % 3, i % 4], dtype=np.float64))
    >>> [observer.score(state, np.array(x)).unusual for x in ([1.0, 1.0], [60.0, -50.0])]
    [False, True]
    """

    NAME: ClassVar[str] = "half-space-trees"
    VERSION: ClassVar[int] = 1

    dimensions: int
    window: int = 64
    trees: int = 10
    height: int = 5
    debounce: Debounce = Debounce()

    def __post_init__(self) -> None:
        if min(self.dimensions, self.trees, self.height) < 1 or self.window < 10:
            raise ValueError(
                "HalfSpaceTrees: dimensions, trees and height >= 1 and window >= 10, "
                f"found {self.dimensions}, {self.trees}, {self.height}, {self.window}"
            )

    def start(self) -> HalfSpaceTreesState:
        """Nothing known."""
        nothing = np.zeros((0, self.dimensions))
        return HalfSpaceTreesState(nothing, nothing, 0, 0)

    def score(self, state: HalfSpaceTreesState, x: Floats) -> Oddness:
        """How empty the place of this vector is, between 0 and 1, against 95 % of the past's scores."""
        check_vector(self.NAME, x, self.dimensions)
        if state.reference.shape[0] < self.window:
            return Oddness()
        built = _built(state.reference.tobytes(), (self.window, self.dimensions), (self.trees, self.height))
        (now,) = _features((x[None, :] - built.centre) / built.spread)
        value = float(built.forest.score_one(now))
        unusual = value > built.limit
        return Oddness(value, built.limit, unusual, self.debounce.alarm(self.debounce.after(state.unusual, unusual)))

    def learn(self, state: HalfSpaceTreesState, x: Floats) -> HalfSpaceTreesState:
        """The state with this vector as its newest; the oldest is forgotten."""
        unusual = self.debounce.after(state.unusual, bool(self.score(state, x).unusual))
        return self.learn_scored(state, x, unusual)

    def learn_scored(self, state: HalfSpaceTreesState, x: Floats, unusual: int) -> HalfSpaceTreesState:
        """The same for a caller that has the score already."""
        past, waiting = np.vstack([state.past, x[None, :]])[-self.window :], state.waiting + 1
        enough = past.shape[0] == self.window
        if enough and (state.reference.shape[0] < self.window or waiting >= _RENEWED_EVERY):
            return HalfSpaceTreesState(past, past, 0, unusual)
        return HalfSpaceTreesState(state.reference, past, waiting, unusual)


class _Built(NamedTuple):
    """Trees, what they were scaled by, and the score of nineteen in twenty of their own vectors."""

    forest: Any
    centre: Floats
    spread: Floats
    limit: float


@lru_cache(maxsize=64)
def _built(reference: bytes, shape: tuple[int, int], size: tuple[int, int]) -> _Built:
    """The trees of a window of vectors. Nothing changes them afterwards: scoring only walks through them."""
    past = np.frombuffer(reference, dtype=np.float64).reshape(shape)
    trees, height = size
    centre, spread = past.mean(axis=0), past.std(axis=0)
    spread = np.where(spread > 0.0, spread, np.maximum(1e-6 * np.abs(centre), 1e-12))
    forest: Any = anomaly.HalfSpaceTrees(n_trees=trees, height=height, window_size=shape[0], seed=_SEED)
    vectors = _features((past - centre) / spread)
    for vector in vectors:
        forest.learn_one(vector)
    limit = float(np.quantile([float(forest.score_one(vector)) for vector in vectors], _USUAL))
    return _Built(forest, centre, spread, limit)


def _features(standardised: Floats) -> list[dict[int, float]]:
    scaled = np.clip(standardised / _SPREADS + 0.5, 0.0, 1.0)
    return [dict(enumerate(row)) for row in scaled.tolist()]
