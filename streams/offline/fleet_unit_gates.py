"""The gates of a plan over many releases at once where users are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.sequential.compared_units import compare_units
from detectors.sequential.unit_bound import UnitBound, UnitBoundState
from detectors.sequential.unit_evalue import UnitEvalue
from detectors.sequential.unit_mixture import totals_of
from detectors.state_rows import rows_of
from detectors.unit_batches import UnitBatch
from releases.budget import ALPHA_PASS
from schemas.metric import Metric
from streams.offline.fleet_gates import GroupedGate, rows_of_releases


class GroupedUnitGate(GroupedGate):
    """A gate on a rate or on a mean of users: its detectors share one comparison, and a bound sums up totals alone."""

    def _detectors(self, metric: Metric) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        relative = metric.kind != "rate"
        fails = tuple(
            UnitEvalue(tolerance=metric.tolerated, worse=worse, relative=relative) for worse in metric.directions
        )
        return fails, (UnitBound(self._margins.grid, worse=metric.worse, relative=relative, alpha=ALPHA_PASS),)

    def observe(self, release: Ints, rows: Ints, sums: Floats, *, ended_ms: int) -> None:
        batch = self._units(release * self._stride + rows, sums[:, 0], sums[:, 1])
        seen = compare_units(self._failing[0].known, batch, self._fails[0].prior)
        self._failing = [g.advanced(state, seen) for g, state in zip(self._fails, self._failing, strict=True)]
        self._bounding = [b.advanced(state, seen) for b, state in zip(self._bounds, self._bounding, strict=True)]

    def _units(self, rows: Ints, b: Floats, c: Floats) -> UnitBatch:
        (n_b, sum_b), (n_c, sum_c) = (self._columns.of_units(arm, self._mean) for arm in (b, c))
        if self._mean is None:
            return UnitBatch.of_counts(rows, n_b=n_b, k_b=sum_b, n_c=n_c, k_c=sum_c, stride=self._stride)
        m2_b, m2_c = (self._columns.moments(arm, self._mean)[2] for arm in (b, c))
        return UnitBatch(rows, n_b, sum_b, m2_b, n_c, sum_c, m2_c, self._stride)

    def _by_release(self, gate: Any, state: Any) -> Floats:
        known: Floats = gate.by_group(state, self._stride) if state.log_weight.size > 1 else np.zeros(0)
        return known

    def _said(self, bound: Any, state: Any, releases: Ints, *, recent: bool) -> Floats:
        totals = UnitBoundState(totals_of(state.known, self._stride), state.overall, state.recent)
        said: Floats = bound.excluded(rows_of(totals, releases), recent=recent, stride=1)
        return said

    @property
    def _summed(self) -> int:
        return 1

    def _kept(self, state: Any, releases: Ints) -> Any:
        known = rows_of(state.known, rows_of_releases(releases, self._stride))
        return UnitBoundState(known, rows_of(state.overall, releases), rows_of(state.recent, releases))
