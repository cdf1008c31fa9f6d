"""Two windows of the same time."""

from __future__ import annotations

import numpy as np

from detectors.debouncing import Debounce
from detectors.gaussian.two_sample import TwoSample, two_proportions, welch
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate


def test_healthy_windows_are_unusual_at_the_rate_alpha() -> None:
    """4,000 windows of 20 and 60 values with different spreads: unusual in 1 % ± 0.5 points.

    Measured 0.8 %; another seed would fail with a chance below 1 in 500.
    """
    rng, observer, unusual = np.random.default_rng(90), TwoSample(alpha=0.01), 0
    for _ in range(4_000):
        pair = Moments.of(rng.normal(0.0, 3.0, 20)), Moments.of(rng.normal(0.0, 1.0, 60))
        unusual += bool(observer.score(observer.start(), pair).unusual)
    assert abs(unusual / 4_000 - 0.01) <= 0.005


def test_what_cannot_be_compared_is_unknown() -> None:
    """One value, no spread, no errors in either: no opinion, and the last opinions stay."""
    observer = TwoSample(debounce=Debounce(fires=1, of_last=1))
    far = Moments(50, 9.0, 49.0), Moments(50, 1.0, 49.0)
    state = observer.learn(observer.start(), far)
    for pair in ((Moments(1, 1.0, 0.0), far[0]), (Moments(5, 1.0, 0.0), Moments(5, 2.0, 0.0))):
        assert welch(*pair) is None
        assert observer.score(state, pair).alarm is None
        assert observer.learn(state, pair) == state
    assert two_proportions(Rate(10, 0), Rate(50, 0)) is None
    assert two_proportions(Rate(), Rate(50, 3)) is None
    assert observer.score(state, (Rate(100, 20), Rate(100, 2))).alarm is True
