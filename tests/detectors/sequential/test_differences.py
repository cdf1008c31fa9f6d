"""Within-block differences and the past, against sums over the raw values."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.batches import MeanBatch
from detectors.sequential.differences import differences, scales
from detectors.sequential.past import MEMORY_REQUESTS, learn, start_past
from detectors.summaries.moments import Moments

values = st.lists(st.floats(-100, 100), min_size=1, max_size=30).map(np.array)


@given(values, values, st.sampled_from([1.0, 1.1, 0.5, 3.0]))
def test_sums_from_moments_equal_sums_over_values(b: np.ndarray, c: np.ndarray, scale: float) -> None:
    """S and the sandwich variance from (n, mean, m2) are those of the regression residuals, value by value."""
    batch = MeanBatch.of([(1, Moments.of(b), Moments.of(c))])
    found = differences(batch, np.array([[scale]]))
    scaled = scale * b
    n, p = b.size + c.size, c.size / (b.size + c.size)
    centre = np.concatenate([scaled, c]).mean()
    s = (1 - p) * (c - centre).sum() - p * (scaled - centre).sum()
    v = (1 - p) ** 2 * ((c - centre) ** 2).sum() + p**2 * ((scaled - centre) ** 2).sum()
    assert found.s[0, 0] == pytest.approx(s, rel=1e-9, abs=1e-8)
    assert found.v_hc[0, 0] == pytest.approx(v, rel=1e-9, abs=1e-7)
    assert found.weight[0, 0] == pytest.approx(p * (1 - p) * n)


def test_scores_variance_is_that_of_the_pooled_t_test() -> None:
    """w s_p² with the pooled variance: two arms of three values each."""
    batch = MeanBatch.of([(1, Moments(3, 1.0, 2.0), Moments(3, 5.0, 4.0))])
    assert differences(batch).v_score[0] == pytest.approx(1.5 * 6.0 / 4.0)


def test_worse_has_a_direction() -> None:
    """Lower is worse scales the baseline down; a negative mean gets worse by its magnitude."""
    np.testing.assert_allclose(scales("lower", np.array([0.2]), np.array([5.0, -5.0])), [[0.8], [1.2]])


def test_the_past_forgets_by_requests() -> None:
    """After MEMORY_REQUESTS later requests the old ones weigh 1/e."""
    rows = np.array([1])
    past = learn(start_past(), rows, n=np.array([100.0]), mean=np.array([1.0]), m2=np.array([0.0]))
    later = learn(past, rows, n=np.array([MEMORY_REQUESTS]), mean=np.array([0.0]), m2=np.array([0.0]))
    assert later.n[1] == pytest.approx(MEMORY_REQUESTS + 100 / np.e)
    assert later.n[1] * later.mean[1] == pytest.approx(100 * exp(-1))


@given(st.lists(values, min_size=1, max_size=4))
def test_the_total_pools_the_segments(segments: list[np.ndarray]) -> None:
    """Row 0 of the past is that of all segments' values together."""
    parts = [Moments.of(segment) for segment in segments]
    past = learn(
        start_past(),
        np.arange(1, len(parts) + 1),
        n=np.array([float(m.n) for m in parts]),
        mean=np.array([m.mean for m in parts]),
        m2=np.array([m.m2 for m in parts]),
    )
    whole = Moments.of(np.concatenate(segments))
    assert past.n[0] == whole.n
    assert past.mean[0] == pytest.approx(whole.mean, abs=1e-9)
    assert past.m2[0] == pytest.approx(whole.m2, rel=1e-9, abs=1e-7)
