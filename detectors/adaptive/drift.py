"""Drift: has the level of a window statistic changed? Observers, by river's ADWIN and Page-Hinkley."""

from __future__ import annotations

from collections import OrderedDict
from math import isfinite
from typing import Any, ClassVar, Final, Literal

import msgspec
import numpy as np
from river import drift

from detectors.arrays import Floats
from detectors.protocol import Score

_ADWIN: Final[Any] = drift.ADWIN
_SPREADS: Final = 8.0
_ADWIN_DELTA: Final = 0.002
_ADWIN_UNIT: Final = 2.0
"""Standard deviations that ADWIN sees as 1. With 8, so that all values are within 0..1, it misses a shift of two."""

_PAGE_HINKLEY_DELTA: Final = 0.25
_PAGE_HINKLEY_THRESHOLD: Final = 12.0

_FED_MAX: Final = 2_048
_fed: OrderedDict[tuple[Drift, bytes], Any] = OrderedDict()
"""river's detectors by the values that they were fed with: each window only adds one to the last. Nothing depends on
what is in here; what is missing is fed again."""


class DriftState(msgspec.Struct, frozen=True, eq=False):
    """The values since the last change, oldest first, at most as many as the detector keeps."""

    past: Floats


class Drift(msgspec.Struct, frozen=True):
    """A change of level, by one of two of river's detectors.

    ``adwin`` compares all splits of its window (Bifet and Gavaldà 2007): sure, and slow on small changes.
    ``page-hinkley`` adds up deviations from the running mean (Page 1954): quick on lasting ones. The state holds the
    last values and not river's object, which can be fed with them again at any time: no pickle, bounded, the same on
    any machine. Values are scaled by mean and standard deviation of the first ``warm_up`` that are kept. After a
    change the past begins anew. Neither has an error rate over a release, so they alert and never decide.

    Parameters
    ----------
    method : ``adwin`` or ``page-hinkley``.
    warm_up : values before the first opinion, >= 10.
    window : values kept, > warm_up; a quarter more come before the oldest are dropped, since then river starts again.

    Raises
    ------
    ValueError : when a parameter is outside its domain, or a value is not finite.

    >>> observer = Drift(method="page-hinkley")
    >>> state = observer.start()
    >>> for i in range(60):
    ...     state = observer.learn(state, 10.0 + i % 3)
    >>> found = []
    >>> for i in range(20):
    ...     found.append(observer.score(state, 15.0 + i % 3).alarm)
    ...     state = observer.learn(state, 15.0 + i % 3)
    >>> found.index(True) < 10
    True
    """

    NAME: ClassVar[str] = "drift"
    VERSION: ClassVar[int] = 1

    method: Literal["adwin", "page-hinkley"]
    warm_up: int = 30
    window: int = 240

    def __post_init__(self) -> None:
        if not 10 <= self.warm_up < self.window:
            raise ValueError(f"Drift: 10 <= warm_up < window, found warm_up={self.warm_up}, window={self.window}")

    def start(self) -> DriftState:
        """Nothing known."""
        return DriftState(np.zeros(0))

    def score(self, state: DriftState, x: float) -> Score:
        """Whether the level changed with this value; z is its distance from the warm-up's mean."""
        if not isfinite(x):
            raise ValueError(f"Drift: a value must be finite, found {x}")
        if state.past.size < self.warm_up:
            return Score(None, None, None)
        centre, spread = self._scale(state.past)
        z = (x - centre) / spread
        changed = self._changed(state.past, x, (centre, spread))
        return Score(z if isfinite(z) else None, changed, changed)

    def learn(self, state: DriftState, x: float) -> DriftState:
        """The state with this value as its newest; after a change it is the first."""
        return self.learn_scored(state, x, bool(self.score(state, x).alarm))

    def learn_scored(self, state: DriftState, x: float, changed: bool) -> DriftState:
        """The same for a caller that has the score already."""
        past = np.append(state.past, x)
        if past.size >= self.window + self.window // 4:
            past = past[-self.window :]
        return DriftState(np.array([x]) if changed else past)

    def _scale(self, past: Floats) -> tuple[float, float]:
        first = past[: self.warm_up]
        centre, spread = float(first.mean()), float(first.std())
        return centre, spread if spread > 0.0 else max(1e-6 * abs(centre), 1e-12)

    def _changed(self, past: Floats, x: float, scale: tuple[float, float]) -> bool:
        """Whether a detector that has seen the past finds a change at this value."""
        detector = _fed.pop((self, past.tobytes()), None) or self._built(past, scale)
        self._feed(detector, np.array([x]), scale)
        _fed[self, np.append(past, x).tobytes()] = detector
        if len(_fed) > _FED_MAX:
            _fed.popitem(last=False)
        return bool(detector.drift_detected)

    def _built(self, past: Floats, scale: tuple[float, float]) -> Any:
        """river's detector, fed with the past."""
        detector: Any
        if self.method == "adwin":
            detector = _ADWIN(delta=_ADWIN_DELTA, clock=1)
        else:
            detector = drift.PageHinkley(
                min_instances=self.warm_up, delta=_PAGE_HINKLEY_DELTA, threshold=_PAGE_HINKLEY_THRESHOLD
            )
        self._feed(detector, past, scale)
        return detector

    def _feed(self, detector: Any, values: Floats, scale: tuple[float, float]) -> None:
        centre, spread = scale
        unit = _ADWIN_UNIT if self.method == "adwin" else 1.0
        for value in (np.clip((values - centre) / spread, -_SPREADS, _SPREADS) / unit).tolist():
            detector.update(value)
