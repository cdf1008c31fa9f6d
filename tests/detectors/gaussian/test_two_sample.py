"""Two windows of the same time."""

from __future__ import annotations

import numpy as np

from detectors.debouncing import Debounce
from detectors.gaussian.two_sample import TwoSample, homogeneity, two_proportions, welch
from detectors.summaries.counts import Counts
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


def counts_of(drawn: np.ndarray) -> Counts:
    return Counts({name: int(k) for name, k in zip("abcdef", drawn, strict=True) if k})


def test_healthy_mixes_are_unusual_at_the_rate_alpha() -> None:
    """4,000 windows of 60 and 200 answers with six values, three of them rare: unusual in 1 % ± 0.6 points.

    Measured 1.1 %; another seed would fail with a chance below 1 in 1,000 (3.8 standard deviations).
    """
    rng, observer, unusual = np.random.default_rng(91), TwoSample(alpha=0.01), 0
    shares = (0.6, 0.25, 0.1, 0.03, 0.015, 0.005)
    for _ in range(4_000):
        pair = counts_of(rng.multinomial(60, shares)), counts_of(rng.multinomial(200, shares))
        unusual += bool(observer.score(observer.start(), pair).unusual)
    assert abs(unusual / 4_000 - 0.01) <= 0.006


def test_two_values_that_change_places_are_another_mix() -> None:
    """The variety of both windows is the same to the last digit; the comparison sees it."""
    ours, theirs = Counts({"stop": 30, "length": 70}), Counts({"stop": 70, "length": 30})
    assert ours.variety == theirs.variety
    observer = TwoSample(debounce=Debounce(fires=1, of_last=1))
    assert observer.score(observer.start(), (ours, theirs)).alarm is True


def test_a_mix_of_few_answers_is_unknown() -> None:
    """Too few for X²: no opinion."""
    assert homogeneity(Counts(), Counts({"stop": 9})) is None
    assert homogeneity(Counts({"stop": 3, "length": 2}), Counts({"stop": 9, "length": 2})) is None
    assert homogeneity(Counts({"stop": 50}), Counts({"stop": 90, "length": 2})) is None
