"""The figures of the joint gate in small: releases side by side, each with a basis of its own, fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from bench.joint import ALPHA, DIFFERENT, Canary, Releases, canary_requests

RELEASES = 200


@pytest.mark.parametrize("kind", ["lognormal, sigma 1", "latency, recorded tokens, confidence"])
def test_healthy_releases_of_skewed_metrics_are_left_alone(kind: str) -> None:
    """At most 5 % and two standard errors of them ever fire, at 5 % share, scales and covariance learned included."""
    hits = canary_requests(Releases(RELEASES, kind, 0.05, seed=1), Canary(), blocks=120)
    assert np.isfinite(hits).mean() <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / RELEASES) ** 0.5


@pytest.mark.parametrize(
    ("name", "limit"), [("three shifts of 0.2 sd, against the correlation", 110), ("correlation 0.7 to -0.2", 120)]
)
def test_what_no_single_metric_shows_is_found(name: str, limit: int) -> None:
    """The median canary requests at 5 % share since the start of the release, the learning among them."""
    releases = Releases(RELEASES, "lognormal, sigma 0.5", 0.05, seed=2)
    assert np.median(canary_requests(releases, DIFFERENT[name], blocks=100)) <= limit


def test_an_unknown_kind_is_refused() -> None:
    """A name that stands for no metrics is an error that says so."""
    with pytest.raises(ValueError, match="metrics are of no kind 'odd'"):
        Releases(2, "odd", 0.5, seed=1)
