from __future__ import annotations

import pytest

from streams.demo.service import CASTS, Cast
from streams.demo.trace import read_trace
from tests.streams.demo.offline import Offline

TRAFFIC_S = 40.0
"""Less than what a slow start leaves of the demo's minute."""


@pytest.mark.parametrize("cast", CASTS, ids=lambda cast: str(cast.name))
def test_every_release_ends_as_it_should(cast: Cast) -> None:
    """The bad canary is rolled back at 10 % at most, the good one promoted, in time, whatever the seed (20 of each).

    Of 600 and 1,500 runs none went wrong, so these twenty fail falsely with a chance of less than 1 in 20.
    """
    trace = read_trace(cast.trace)
    for seed in range(20):
        release = Offline(cast, trace, seed).play(TRAFFIC_S)
        assert release.as_expected, (seed, release.state, release.reason)
        if cast.expected == "rolled_back":
            assert release.share_ppm_max <= 100_000, seed


@pytest.mark.parametrize(("cast", "last_ppm"), [(CASTS[0], 0), (CASTS[1], 1_000_000)])
def test_the_share_follows_the_route(cast: Cast, last_ppm: int) -> None:
    """Requests go where the newest route sends them, up to the end: nobody is on a canary that was rolled back."""
    played = Offline(cast, read_trace(cast.trace), seed=3)
    played.play(TRAFFIC_S)
    assert {50_000, 100_000, last_ppm} <= set(played.split)
    for weight_ppm, counts in played.split.items():
        tolerance = 0.06 if 0 < weight_ppm < 1_000_000 else 0
        expected = pytest.approx(weight_ppm / 1e6 * sum(counts.values()), abs=tolerance * sum(counts.values()))
        assert counts["v2"] == expected, weight_ppm
