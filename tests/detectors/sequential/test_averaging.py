"""Averages of e-values."""

from __future__ import annotations

from math import exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sequential.averaging import log_average, log_either

logs = st.floats(-50, 50)


@given(st.lists(logs, min_size=1, max_size=6))
def test_an_equal_average_is_the_mean(values: list[float]) -> None:
    """Equal weights give the arithmetic mean, between the smallest and the largest."""
    found = log_average(values, [1 / len(values)] * len(values))
    assert exp(found) == pytest.approx(sum(exp(v) for v in values) / len(values), rel=1e-9)
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9


@given(st.lists(logs, min_size=1, max_size=6))
def test_it_fires_whenever_bonferroni_does(values: list[float]) -> None:
    """If the best of k e-values reaches k/α, the average reaches 1/α."""
    k = len(values)
    assert log_average(values, [1 / k] * k) >= max(values) - log(k) - 1e-9


def test_extremes_do_not_overflow() -> None:
    """Evidence of thousands of nats, and none at all."""
    assert log_either(5000.0, -5000.0) == pytest.approx(5000.0 - log(2))
    assert log_average([-inf, -inf], [0.5, 0.5]) == -inf
    assert log_average([3.0, 9.0], [1.0, 0.0]) == 3.0


@pytest.mark.parametrize("weights", [[0.5], [0.7, 0.7], [1.5, -0.5], []])
def test_wrong_weights_are_refused(weights: list[float]) -> None:
    """Weights that are none would break the error budget."""
    with pytest.raises(ValueError, match="log_average"):
        log_average([0.0, 0.0], weights)
