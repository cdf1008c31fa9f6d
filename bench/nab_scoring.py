"""The score of the Numenta Anomaly Benchmark: early detections count, late ones less, false ones cost.

Lavin and Ahmad (2015), "Evaluating real-time anomaly detection algorithms", ICMLA, sec. III; the weights are those of
the benchmark's profiles. Checked against the published scores of its windowed Gaussian in tests/bench/test_nab.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, Ints

PROBATION_SHARE, PROBATION_MAX = 0.15, 750
"""The first values of a series teach a detector and are not scored."""

_FAR_BEHIND: Final = 3.0


class Profile(NamedTuple):
    """What a false positive costs, and what a missed window costs; a window found at once is worth 1."""

    false_positive: float
    false_negative: float


PROFILES: Final = {
    "standard": Profile(0.11, 1.0),
    "reward_low_FP_rate": Profile(0.22, 1.0),
    "reward_low_FN_rate": Profile(0.11, 2.0),
}


class Series(NamedTuple):
    """A labelled series: its values, and the [first, last] indexes of each window of anomalies, in order."""

    name: str
    values: Floats
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many values are not scored."""
        return min(int(PROBATION_SHARE * self.values.size), PROBATION_MAX)


def score(series: Series, flagged: Flags, profile: Profile) -> float:
    """The raw score of one series: at most 1 for each window.

    Parameters
    ----------
    flagged : [n] which values a detector calls anomalous.

    >>> values = np.zeros(100)
    >>> found = np.arange(100) == 40
    >>> score(Series("a", values, [(40, 59)]), found, PROFILES["standard"])
    1.0
    >>> score(Series("a", values, [(40, 59)]), ~(found | True), PROFILES["standard"])
    -1.0
    """
    total = 0.0
    outside = flagged.copy()
    outside[: series.probation] = False
    cost = profile.false_positive * _after_windows(series)
    for first, last in series.windows:
        inside = np.arange(first, last + 1)
        outside[inside] = False
        inside = inside[inside >= series.probation]
        if inside.size == 0:
            continue
        hits = inside[flagged[inside]]
        width = last - first + 1
        early = -(last - int(hits[0]) + 1) / width if hits.size else None
        total += -profile.false_negative if early is None else float(_sigmoid(early) / _sigmoid(-1.0))
    return total + float(cost[outside].sum())


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """0 for a detector that says nothing, 100 for one that finds each window at its first value and nothing else."""
    nothing = -profile.false_negative * windows
    return 100.0 * (raw - nothing) / (windows - nothing)


def _after_windows(series: Series) -> Floats:
    """[n] weight of a false positive, from 0 right after a window to -1 far behind it or before the first."""
    weight = np.full(series.values.size, -1.0)
    for (first, last), end in zip(series.windows, [*_starts(series)[1:], series.values.size], strict=True):
        behind: Ints = np.arange(last + 1, end)
        position = (behind - last) / (last - first)
        weight[behind] = np.where(position >= _FAR_BEHIND, -1.0, _sigmoid(position))
    return weight


def _starts(series: Series) -> list[int]:
    return [first for first, _ in series.windows]


def _sigmoid(position: Floats | float) -> Floats:
    found: Floats = 2.0 / (1.0 + np.exp(5.0 * np.asarray(position, dtype=np.float64))) - 1.0
    return found
