"""The baseline's past rate in each row, slowly forgotten: a :mod:`detectors.sequential.past` of zeros and ones."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.rows import height_of, placed
from detectors.sequential.past import MEMORY_REQUESTS, N_MIN, PRIOR_REQUESTS, Past, grown


class PastRate(msgspec.Struct, frozen=True, eq=False):
    """Count and mean of the zeros and ones of the baseline's past in each row, with exponential forgetting.

    Unlike a :class:`detectors.sequential.past.Past` it needs no squares: the mean of zeros and ones says it all.

    >>> past = learn_rates(start_rate(), np.array([1]), n=np.array([10.0]), k=np.array([2.0]))
    >>> past.n.tolist(), past.mean.tolist()
    ([10.0, 10.0], [0.2, 0.2])
    """

    n: Floats
    mean: Floats


P = TypeVar("P", PastRate, Past)


def start_rate() -> PastRate:
    """Nothing known; one row, the total."""
    return PastRate(np.zeros(1), np.zeros(1))


def learn_rates(past: P, rows: Ints, *, n: Floats, k: Floats, stride: int | None = None) -> P:
    """The past with one more block of the baseline in each of some rows.

    Old trials lose weight first: n ← n exp(-n_new / MEMORY_REQUESTS). A total pools its segments.

    Parameters
    ----------
    past : a mean's past learns of zeros and ones too, its squares stay as they are.
    rows, stride : [m] of segments, as :func:`detectors.rows.placed` takes them.
    n, k : [m] trials of the baseline in the new blocks, which may be 0, and how many of them are ones.
    """
    if rows.size == 0:
        return past
    place = placed(rows, stride)
    known_n, known_mean = grown(past.n, place.height, 0.0), grown(past.mean, place.height, 0.0)
    added_n = place.with_sums(n)
    old_n = place.taken(known_n) * np.exp(-added_n / MEMORY_REQUESTS)
    new_n = old_n + added_n
    mean = (old_n * place.taken(known_mean) + place.with_sums(k)) / np.maximum(new_n, N_MIN)
    return msgspec.structs.replace(past, n=place.replaced(known_n, new_n), mean=place.replaced(known_mean, mean))


def rate_of(past: PastRate, rows: Ints, prior: float) -> Floats:
    """[m] the baseline's rate in each row: the past's, drawn towards a prior of PRIOR_REQUESTS requests."""
    height = height_of(rows)
    n, mean = (grown(known, height, 0.0).take(rows) for known in (past.n, past.mean))
    rates: Floats = (n * mean + PRIOR_REQUESTS * prior) / (n + PRIOR_REQUESTS)
    return rates
