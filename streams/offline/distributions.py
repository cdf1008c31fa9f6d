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
from schemas.file_errors import RuleError
from schemas.scenario import Distribution
from streams.offline.samples import read_numbers

Z_MAX = 8.0
"""Normal numbers beyond this do not occur: one in 10^15."""

SIGMA_MAX = 10.0
"""Of a lognormal: beyond it, its mean has nothing to do with any value that is ever drawn."""

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


def quantity_of(distribution: Distribution, folder: Path, *, path: str = "$") -> Quantity:
    """The distribution of a scenario.

    Parameters
    ----------
    folder : where sample files are looked up.
    path : where the distribution stands in the scenario, for errors.

    Raises
    ------
    schemas.file_errors.RuleError : a parameter is outside its domain.
    schemas.file_errors.FileError : a sample is not there.
    """
    _check(distribution, path)
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


def _check(distribution: Distribution, path: str) -> None:
    lognormal, gamma, normal = distribution.lognormal, distribution.gamma, distribution.normal
    if lognormal is not None and not (lognormal.median > 0 and 0 <= lognormal.sigma <= SIGMA_MAX):
        raise RuleError(f"{path}.lognormal", f"allowed are a median above 0 and a sigma from 0 to {SIGMA_MAX:g}")
    if gamma is not None and not (gamma.mean > 0 and gamma.shape > 0):
        raise RuleError(f"{path}.gamma", "allowed are a mean above 0 and a shape above 0")
    if normal is not None and not (np.isfinite(normal.mean) and 0 <= normal.sd < np.inf):
        raise RuleError(f"{path}.normal", "allowed are a finite mean and an sd of at least 0")


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
