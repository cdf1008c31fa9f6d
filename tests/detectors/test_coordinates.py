"""Coordinates: metrics on a scale on which they are even, standardised, clipped, with products of pairs."""

from __future__ import annotations

from math import e

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors.arrays import Floats
from detectors.coordinates import CLIP, dimensions_of, learned, pairs_of, value_at, vectors_of
from detectors.summaries.log_histogram import LogHistogram
from schemas.basis import Coordinate

RNG = np.random.default_rng(90)


def scale_of(values: Floats) -> Coordinate:
    """What is learned of one metric."""
    return learned({"values.a": LogHistogram.of(values)}, ["values.a"])[0]


@pytest.mark.parametrize(
    ("values", "scales"),
    [
        (RNG.lognormal(5.0, 0.5, 300), {"log", "log1p"}),
        (RNG.lognormal(5.0, 1.0, 300), {"log", "log1p"}),
        (RNG.exponential(200.0, 300), {"log1p", "log"}),
        (RNG.geometric(0.1, 300) - 1.0, {"log1p"}),
        (RNG.normal(0.8, 0.1, 300), {"raw"}),
        (-RNG.lognormal(5.0, 1.0, 300), {"raw"}),
    ],
    ids=["lognormal", "wide lognormal", "exponential", "counts with zeros", "normal", "negative"],
)
def test_the_scale_follows_the_data(values: Floats, scales: set[str]) -> None:
    """Skewed positive values get logarithms, even ones and those that may be negative stay as they are."""
    assert scale_of(values).scale in scales


def test_a_lognormal_metric_becomes_a_standard_one() -> None:
    """Mean and standard deviation are those of the logarithms, within the histogram's 1 %."""
    one = scale_of(RNG.lognormal(5.0, 0.5, 20_000))
    assert one.scale == "log"
    assert one.mean == pytest.approx(5.0, abs=0.02) and one.sd == pytest.approx(0.5, rel=0.03)
    assert value_at(one, 0.0) == pytest.approx(e**5, rel=0.02)


def test_a_metric_that_never_varied_has_no_unit_of_its_own() -> None:
    """A constant is standardised by 1: later changes are seen in the metric's own unit, and nothing is divided by 0."""
    assert scale_of(np.full(300, 4.0)).sd == 1.0


def test_vectors_by_hand() -> None:
    """Logarithms, standardisation and products are what they say, for three metrics of two events."""
    three = [
        Coordinate("latency_ms", "log", 1.0, 2.0),
        Coordinate("values.n", "log1p", 0.0, 1.0),
        Coordinate("values.c", "raw", 0.5, 0.25),
    ]
    found = vectors_of(np.array([[e**2, e - 1.0, 1.0], [e, 0.0, 0.0]]), three)
    np.testing.assert_allclose(found, [[0.5, 1.0, 2.0, 0.5, 1.0, 2.0], [0.0, 0.0, -2.0, 0.0, 0.0, 0.0]], atol=1e-12)
    assert dimensions_of(3) == 6 and pairs_of(3) == [(0, 1), (0, 2), (1, 2)]


@given(arrays(np.float64, (4, 2), elements=st.floats(-1e300, 1e300)))
def test_no_value_is_the_whole_evidence(values: Floats) -> None:
    """Whatever finite numbers an event carries, its vector is finite and no coordinate is beyond the clip."""
    two = [Coordinate("latency_ms", "log", 5.0, 0.5), Coordinate("values.n", "log1p", 1.0, 0.1)]
    found = vectors_of(values, two)
    assert np.abs(found[:, :2]).max() <= CLIP and np.abs(found[:, 2]).max() <= CLIP**2


@pytest.mark.parametrize(("mean", "sd"), [(float("nan"), 1.0), (0.0, 0.0), (0.0, float("inf"))])
def test_a_coordinate_is_checked(mean: float, sd: float) -> None:
    """A basis that would divide by zero or give no numbers never comes into being, on decoding neither."""
    with pytest.raises(ValueError, match="Coordinate: mean finite and sd > 0"):
        Coordinate("latency_ms", "raw", mean, sd)
