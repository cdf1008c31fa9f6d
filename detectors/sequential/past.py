"""The baseline's past in each row, slowly forgotten: what an alternative may be built from."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch
from detectors.rows import placed

MEMORY_REQUESTS: Final = 3_000.0
"""Weight of a request falls by 1/e while this many later requests of its row arrive."""

PRIOR_REQUESTS: Final = 100.0
"""How many requests the prior rate counts for."""

PAST_MIN: Final = 20.0
"""Values of the baseline before the first bet: a standard deviation from fewer can ruin every bet for good."""

N_MIN: Final = 1e-300
"""Divided by in place of a count of zero."""

_CV_OF_A_CONSTANT: Final = 0.1
_CV_MIN: Final = 1e-9
_MEAN_MIN: Final = 1e-100


def grown(array: Floats, rows: int, fill: float) -> Floats:
    """The array with its first axis extended to ``rows``, or the array itself when it is that long."""
    missing = rows - array.shape[0]
    if missing <= 0:
        return array
    return np.concatenate([array, np.full((missing, *array.shape[1:]), fill)])


class Past(msgspec.Struct, frozen=True, eq=False):
    """Count, mean and m2 of the baseline's past in each row, with exponential forgetting.

    A total pools its segments.

    >>> past = start_past()
    >>> past = learn(past, np.array([1]), n=np.array([10.0]), mean=np.array([2.0]), m2=np.array([5.0]))
    >>> past.n.tolist(), past.mean.tolist()
    ([10.0, 10.0], [2.0, 2.0])
    """

    n: Floats
    mean: Floats
    m2: Floats


def start_past() -> Past:
    """Nothing known; one row, the total."""
    return Past(np.zeros(1), np.zeros(1), np.zeros(1))


def learn(past: Past, rows: Ints, *, n: Floats, mean: Floats, m2: Floats, stride: int | None = None) -> Past:
    """The past with one more block of the baseline in each of some rows.

    Old values lose weight first: (n, m2) ← (n, m2) exp(-n_new / MEMORY_REQUESTS), then Chan's merge.

    Parameters
    ----------
    rows, stride : [m] of segments, as :func:`detectors.rows.placed` takes them.
    n, mean, m2 : [m] the baseline's moments in the new blocks; n may be 0.
    """
    if rows.size == 0:
        return past
    place = placed(rows, stride)
    height, total = place.height, place.summed(n)
    pooled = place.summed(n * mean) / np.maximum(total, 1.0)
    spread = place.summed(m2 + n * (mean - pooled[place.group]) ** 2)
    added_n, added_mean, added_m2 = np.concatenate([total, n, pooled, mean, spread, m2]).reshape(3, -1)

    known = [grown(a, height, 0.0) for a in (past.n, past.mean, past.m2)]
    old_n, old_mean, old_m2 = [place.taken(a) for a in known]
    kept = np.exp(-added_n / MEMORY_REQUESTS)
    old_n = old_n * kept
    new_n = old_n + added_n
    share = added_n / np.maximum(new_n, N_MIN)
    difference = added_mean - old_mean
    m2 = old_m2 * kept + added_m2 + difference**2 * old_n * share
    new = (new_n, old_mean + difference * share, m2)
    return Past(*[place.replaced(a, b) for a, b in zip(known, new, strict=True)])


def learn_means(past: Past, batch: MeanBatch) -> Past:
    """The past with the baseline's arm of a batch in it."""
    return learn(past, batch.rows, n=batch.n_b, mean=batch.mean_b, m2=batch.m2_b, stride=batch.stride)


def spread(past: Past, rows: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the baseline's past; the latter NaN with fewer than PAST_MIN values.

    A constant baseline counts as one with a coefficient of variation of 0.1, so that a canary that leaves it is
    seen. A mean of zero leaves nothing for a relative effect to be relative to: NaN.
    """
    n, mean, m2 = (grown(a, rows, 0.0) for a in (past.n, past.mean, past.m2))
    magnitude = np.abs(mean)
    sd = np.sqrt(m2 / np.maximum(n, 1.0))
    sd = np.where(sd > _CV_MIN * magnitude, sd, _CV_OF_A_CONSTANT * magnitude)
    return mean, np.where((n >= PAST_MIN) & (magnitude > _MEAN_MIN), sd, np.nan)
