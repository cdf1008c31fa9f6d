"""What a metric's values look like: every distribution as a rising function of a standard normal number.

One normal number for each request and metric makes correlations (a Gaussian copula), users and tails the same for
every distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import gammaincinv, ndtr

from detectors.arrays import Floats
from schemas.scenario import Distribution
from streams.offline.samples import read_numbers

Z_MAX = 8.0
"""Normal numbers beyond this do not occur: one in 10^15."""

_TABLE = 4_001


@dataclass(frozen=True, slots=True)
class Quantity:
    """A distribution.

    Parameters
    ----------
    mean : of the distribution, in the metric's unit.
    of_normal : from standard normal numbers to values, rising.
    """

    mean: float
    of_normal: Callable[[Floats], Floats]


def quantity_of(distribution: Distribution, folder: Path) -> Quantity:
    """The distribution of a scenario; ``folder`` is where its sample files are looked up.

    Raises
    ------
    schemas.file_errors.FileError : a sample is not there.
    """
    if distribution.lognormal is not None:
        median, sigma = distribution.lognormal.median, distribution.lognormal.sigma
        return Quantity(median * float(np.exp(sigma**2 / 2)), lambda z: median * np.exp(sigma * z))
    if distribution.gamma is not None:
        return _gamma(distribution.gamma.mean, distribution.gamma.shape)
    if distribution.normal is not None:
        mean, sd = distribution.normal.mean, distribution.normal.sd
        return Quantity(mean, lambda z: mean + sd * z)
    assert distribution.sample is not None  # the scenario's rules: exactly one is given
    return _sample(np.sort(read_numbers(folder / distribution.sample.file, distribution.sample.column)))


def _gamma(mean: float, shape: float) -> Quantity:
    """By a table of its quantiles: inverting the distribution for every request would cost more than judging it."""
    at = np.linspace(-Z_MAX, Z_MAX, _TABLE)
    logs = np.log(np.maximum(gammaincinv(shape, ndtr(at)), 1e-300) * (mean / shape))
    return Quantity(mean, lambda z: np.exp(np.interp(z, at, logs)))


def _sample(ascending: Floats) -> Quantity:
    """Drawing with replacement: the k-th of n recorded values for ranks in [k/n, (k+1)/n)."""
    last = ascending.size - 1

    def of_normal(z: Floats) -> Floats:
        picked: Floats = ascending[np.minimum((ndtr(z) * ascending.size).astype(np.int64), last)]
        return picked

    return Quantity(float(ascending.mean()), of_normal)
