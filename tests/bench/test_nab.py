"""The score of labelled series: the scorer against published scores, the observers against published detectors."""

from __future__ import annotations

import numpy as np
import pytest

from bench.nab import DETECTORS, WINDOW_LIMIT, best, distances, load, total, windowed_gaussian
from bench.nab_scoring import PROFILES, normalised, score

PUBLISHED = {
    "ambient_temperature_system_failure.csv": (-2.0, -2.0),
    "cpu_utilization_asg_misconfiguration.csv": (-1.11, -1.22),
    "ec2_request_latency_system_failure.csv": (2.02150685678, 2.02150685678),
    "machine_temperature_system_failure.csv": (-4.0, -4.0),
    "nyc_taxi.csv": (-5.0, -5.0),
    "rogue_agent_key_hold.csv": (-2.44, -2.88),
    "rogue_agent_key_updown.csv": (-1.3964908955, -2.1748083231),
}
"""Of the benchmark's windowed Gaussian, from its results: standard, and with dearer false positives."""


def test_the_scorer_reproduces_published_scores() -> None:
    """Each of the seven published scores of the windowed Gaussian comes out, in two profiles."""
    for series in load():
        flagged = windowed_gaussian(series.values) >= WINDOW_LIMIT
        ours = [score(series, flagged, PROFILES[name]) for name in ("standard", "reward_low_FP_rate")]
        assert ours == pytest.approx(PUBLISHED[series.name], abs=1e-9), series.name


def test_missing_everything_scores_nothing_and_finding_all_at_once_scores_a_hundred() -> None:
    """The two ends of the scale, in each profile."""
    series = load()
    first = [np.isin(np.arange(one.values.size), [a for a, _ in one.windows]).astype(float) for one in series]
    for profile in PROFILES.values():
        assert total(series, [np.zeros(one.values.size) for one in series], 0.5, profile) == 0.0
        assert total(series, first, 0.5, profile) == pytest.approx(100.0)


@pytest.mark.parametrize("name", DETECTORS)
def test_online_gaussians_score_at_least_as_the_published_windowed_gaussian(name: str) -> None:
    """On the same series, in both published profiles, each at its best limit."""
    series = load()
    found = [distances(DETECTORS[name], one.values) for one in series]
    windows = sum(len(one.windows) for one in series)
    for column, profile in enumerate((PROFILES["standard"], PROFILES["reward_low_FP_rate"])):
        raw = sum(scores[column] for scores in PUBLISHED.values())
        assert best(series, found, profile)[0] >= normalised(raw, windows, profile)
