"""The threshold of quantile gates: from the past, refreshed in time, on edges of bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sequential.differences import Worse
from detectors.sequential.threshold import SLICE_MS, SLICES, Threshold, learn_threshold, shifted
from detectors.summaries.log_histogram import BIN_MAX, LogHistogram, upper_edge


def fed(threshold: Threshold, level: float, values: np.ndarray, ended_ms: int) -> Threshold:
    return learn_threshold(threshold, level, LogHistogram.of(values), ended_ms)


def edge(threshold: Threshold) -> float:
    assert threshold.bin is not None
    return upper_edge(threshold.bin)


def test_it_waits_for_enough_values() -> None:
    """p99 needs 5,000 values of the baseline, not one fewer."""
    rng = np.random.default_rng(1)
    threshold = fed(Threshold(), 0.99, rng.random(4999), 0)
    assert threshold.bin is None
    assert edge(fed(threshold, 0.99, rng.random(1), 250)) == pytest.approx(0.99, rel=0.03)


def test_within_a_minute_it_stands_still() -> None:
    """Blocks of the open minute do not move the threshold that they will be compared with."""
    rng = np.random.default_rng(2)
    threshold = fed(Threshold(), 0.5, rng.random(1000), 0)
    later = fed(threshold, 0.5, 1.1 * rng.random(1000), SLICE_MS - 1)
    assert later.bin == threshold.bin


def test_it_follows_a_slow_drift() -> None:
    """Values that rise by 1 % a minute: after an hour the median of the last ten minutes, within 8 %."""
    rng = np.random.default_rng(3)
    threshold = Threshold()
    for minute in range(60):
        threshold = fed(threshold, 0.5, 1.01**minute * (1.0 + rng.random(1000)), minute * SLICE_MS)
    assert edge(threshold) == pytest.approx(1.5 * 1.01**54, rel=0.08)
    assert len(threshold.ring) <= SLICES


def test_a_jump_refreshes_at_once() -> None:
    """When the baseline doubles, its p99 does so within 5,000 requests and the old minutes are dropped."""
    rng = np.random.default_rng(4)
    threshold = Threshold()
    for beat in range(240):
        threshold = fed(threshold, 0.99, 1.0 + rng.random(250), beat * 2_000)
    assert edge(threshold) == pytest.approx(1.99, rel=0.03)
    for beat in range(240, 270):
        threshold = fed(threshold, 0.99, 2.0 + 2.0 * rng.random(250), beat * 2_000)
    assert edge(threshold) == pytest.approx(3.98, rel=0.05)


@given(st.integers(-BIN_MAX, BIN_MAX), st.sampled_from(["higher", "lower"]), st.floats(0.0, 0.9), st.booleans())
def test_rounding_is_never_on_the_wrong_side(index: int, worse: Worse, amount: float, outwards: bool) -> None:
    """A tolerance is rounded up and a margin down, to less than a bin, for edges of either sign."""
    moved = shifted(index, worse, amount, outwards=outwards)
    if index == 0 or abs(moved) in {0, BIN_MAX}:
        return
    start, end = upper_edge(index), upper_edge(moved)
    target = start + (1.0 if worse == "higher" else -1.0) * abs(start) * amount
    beyond = (end - target) * (1.0 if worse == "higher" else -1.0)
    slack = 1e-8 * abs(target)
    assert beyond >= -slack if outwards else beyond <= slack
    assert abs(beyond) <= 0.0205 * max(abs(target), abs(end))
