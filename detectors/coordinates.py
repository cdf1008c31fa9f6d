"""Coordinates: an event's metrics as one vector, in which a joint shift and a changed correlation are both shifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import sqrt
from typing import Final, Literal

import numpy as np

from detectors.arrays import Floats
from detectors.summaries.log_histogram import LogHistogram, middle
from schemas.basis import Coordinate

CLIP: Final = 6.0
"""Standard deviations beyond which a value says no more: one outlier must not be the whole evidence."""

SKEWNESS_MAX: Final = 0.5
"""Values that are no more skewed than this stay on their own scale."""

_SMALLEST: Final = 1e-300
SCALES: Final[tuple[Literal["raw", "log1p", "log"], ...]] = ("raw", "log1p", "log")
"""Where metrics may be even: as they are, by the logarithm of one more, by their logarithm."""


def pairs_of(metrics: int) -> list[tuple[int, int]]:
    """The pairs of metrics whose products are coordinates, in order.

    >>> pairs_of(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(metrics), 2))


def dimensions_of(metrics: int) -> int:
    """Length of the vector: the metrics, then the products of their pairs.

    >>> dimensions_of(3)
    6
    """
    return metrics + metrics * (metrics - 1) // 2


def vectors_of(values: Floats, coordinates: Sequence[Coordinate]) -> Floats:
    """Metrics on their scales, standardised and clipped, and the products of pairs: in each, the correlation.

    Parameters
    ----------
    values : [n, k] finite metrics of n events.
    coordinates : k of them.

    Returns
    -------
    [n, k + k (k - 1) / 2].

    >>> two = [Coordinate("latency_ms", "log", 0.0, 1.0), Coordinate("values.confidence", "raw", 1.0, 0.5)]
    >>> vectors_of(np.array([[np.e, 2.0], [0.0, 1.0]]), two).tolist()
    [[1.0, 2.0, 2.0], [-6.0, 0.0, -0.0]]
    """
    mean = np.array([one.mean for one in coordinates])
    sd = np.array([one.sd for one in coordinates])
    on_scale = np.stack([scaled(values[:, at], one.scale) for at, one in enumerate(coordinates)], axis=1)
    single = np.clip((on_scale - mean) / sd, -CLIP, CLIP)
    left, right = np.array(pairs_of(len(coordinates))).T
    return np.concatenate([single, single[:, left] * single[:, right]], axis=1)


def scaled(values: Floats, scale: Literal["raw", "log1p", "log"]) -> Floats:
    """Values on a scale; what a logarithm has no value for counts as the smallest that it has one for.

    >>> scaled(np.array([0.0, 1.0]), "log1p").round(3).tolist()
    [0.0, 0.693]
    """
    match scale:
        case "raw":
            return values
        case "log1p":
            return np.log1p(np.maximum(values, -1.0 + 1e-12))
        case "log":
            return np.log(np.maximum(values, _SMALLEST))


def value_at(coordinate: Coordinate, u: float) -> float:
    """The value of a metric that lies at ``u`` standard deviations: on a log scale the typical one, not the mean.

    >>> value_at(Coordinate("latency_ms", "raw", 180.0, 90.0), 0.5)
    225.0
    """
    at = coordinate.mean + coordinate.sd * u
    match coordinate.scale:
        case "raw":
            return at
        case "log1p":
            return float(np.expm1(at))
        case "log":
            return float(np.exp(at))


def learned(histograms: Mapping[str, LogHistogram], metrics: Sequence[str]) -> tuple[Coordinate, ...]:
    """Coordinates from the baseline's values: where they are skewed, on the scale on which they are least so.

    Sums of skewed values come near to a normal distribution late, and within a few canary requests nothing is averaged
    yet. The scale is chosen by the data and not by the metric's name, once; values that may be negative stay as
    they are.

    Parameters
    ----------
    histograms : metric to the histogram of its values, none empty.
    metrics : which, and in which order.

    >>> skewed = LogHistogram.of(np.exp(np.random.default_rng(1).normal(5.0, 0.5, 300)))
    >>> even = LogHistogram.of(np.random.default_rng(2).normal(0.8, 0.1, 300))
    >>> one, two = learned({"latency_ms": skewed, "values.confidence": even}, ["latency_ms", "values.confidence"])
    >>> one.scale, round(one.mean), round(one.sd, 1), two.scale
    ('log', 5, 0.5, 'raw')
    """
    return tuple(_coordinate(metric, histograms[metric]) for metric in metrics)


def _coordinate(metric: str, histogram: LogHistogram) -> Coordinate:
    values = np.array([middle(index) for index in histogram.bins.tolist()])
    counts = histogram.counts.astype(np.float64)
    lowest = values[0]
    allowed = [scale for scale in SCALES if scale == "raw" or lowest > 0 or (scale == "log1p" and lowest >= 0)]
    found = {scale: _shape(scaled(values, scale), counts) for scale in allowed}
    raw_will_do = abs(found["raw"][2]) <= SKEWNESS_MAX
    scale = "raw" if raw_will_do else min(found, key=lambda one: abs(found[one][2]))
    mean, sd, _ = found[scale]
    # A metric that has not varied yet has no unit of its own.
    return Coordinate(metric, scale, mean, sd if sd > 1e-9 * abs(mean) else 1.0)


def _shape(values: Floats, counts: Floats) -> tuple[float, float, float]:
    """Mean, standard deviation and skewness."""
    n = float(counts.sum())
    mean = float((counts * values).sum()) / n
    centred = values - mean
    sd = sqrt(float((counts * centred**2).sum()) / n)
    return mean, sd, 0.0 if sd == 0.0 else float((counts * (centred / sd) ** 3).sum()) / n
