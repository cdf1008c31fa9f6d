"""Correlated metrics: a Gaussian copula whose correlations may change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Floats
from schemas.file_errors import RuleError
from schemas.scenario import Correlation
from streams.offline.behaviour import Moment
from streams.offline.changes import Change


class Copula:
    """Turns independent standard normal numbers into correlated ones.

    Parameters
    ----------
    metrics : numeric metrics, in the order of the columns.
    correlation : of the baseline; what it does not name is uncorrelated.
    path : where it stands in the scenario, for errors.

    Raises
    ------
    schemas.file_errors.RuleError : a metric is not there, or no joint distribution has these correlations.
    """

    def __init__(self, metrics: Sequence[str], correlation: Sequence[Correlation], *, path: str) -> None:
        self._metrics, self._path = list(metrics), path
        self._base = self._with(np.eye(len(metrics)), correlation)
        self._root = self._factor(self._base)
        self._roots: dict[int, Floats] = {}

    def of(self, z: Floats, moment: Moment, changes: Sequence[Change]) -> Floats:
        """Correlated numbers [metrics, n] from independent ones; a change of correlation is in force all at once."""
        mixed: Floats = self._root @ z
        for change in changes:
            if change.correlation:
                there = moment.strength(change) > 0
                root = self._roots.get(id(change))
                if root is None:
                    root = self._roots[id(change)] = self._factor(self._with(self._base, change.correlation))
                mixed = np.where(there, root @ z, mixed)
        return mixed

    def check(self, changes: Sequence[Change]) -> None:
        """Raise :class:`RuleError` now, not in the middle of a run."""
        for change in changes:
            self._factor(self._with(self._base, change.correlation))

    def _with(self, matrix: Floats, correlation: Sequence[Correlation]) -> Floats:
        changed = matrix.copy()
        for one in correlation:
            for name in one.between:
                if name not in self._metrics:
                    allowed = ", ".join(self._metrics)
                    raise RuleError(self._path, f"found {name!r}; allowed are two different ones of {allowed}")
            first, second = (self._metrics.index(name) for name in one.between)
            if first == second:
                raise RuleError(self._path, f"found {one.between[0]!r} twice; allowed are two different metrics")
            changed[first, second] = changed[second, first] = one.rho
        return changed

    def _factor(self, matrix: Floats) -> Floats:
        try:
            return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            what = "found correlations that no metrics can have together; allowed is a positive definite matrix"
            raise RuleError(self._path, what) from error
