"""The gates of a plan over many releases at once: the worker's detectors, with a group of rows for each release."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.sequential.onset import log_by_group
from detectors.state_rows import rows_of
from releases.budget import ALPHA_PASS
from releases.margins import Margins
from releases.ramps.ramp import stages_of
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM
from streams.offline.fleet_columns import BAD, Columns, N


class FleetJudge(Protocol):
    """What follows the blocks of all releases, which are numbered from 0."""

    def observe(self, release: Ints, rows: Ints, sums: Floats, *, ended_ms: int) -> None:
        """The blocks that closed at one moment.

        Parameters
        ----------
        release, rows : [m] of each block, by release and then by row.
        sums : [m, 2, columns] of baseline and canary.
        """
        ...

    def begin_step(self, release: int) -> None:
        """The evidence of one release since the last step begins anew."""
        ...

    def keep(self, releases: Ints) -> None:
        """Forget all but some releases, and number them anew."""
        ...


class FleetGate(FleetJudge, Protocol):
    """What a fleet asks of a gate, whatever it measures."""

    label: str

    @property
    def detector(self) -> str:
        """The name that stands in a release's evidence."""
        ...

    def known(self, releases: int) -> Flags:
        """[releases] which have something to say, once both versions have been compared."""
        ...

    def evidence(self, releases: int) -> Floats:
        """[releases] log e-value of the gate."""
        ...

    def harm(self, release: int) -> Floats:
        """[R] log e-value of the total and of each segment of one release."""
        ...

    def excluded(self, releases: Ints, shares_ppm: Ints) -> Floats:
        """Log evidence of releases against the harm that must be excluded before their canary gets a share."""
        ...


class GroupedGate:
    """A gate on a rate or on a mean: the states of all releases are one.

    Parameters
    ----------
    columns : of the sums that it reads.
    stride : rows of a release: its total and its segments.
    """

    def __init__(self, plan: Plan, metric: Metric, columns: Columns, *, stride: int) -> None:
        shares = {PPM} | {stage.weight_ppm for stage in stages_of(plan.ramp)}
        self.label = metric.label
        self._margins = Margins(plan, metric, shares)
        self._columns, self._stride = columns, stride
        self._mean = None if metric.kind == "rate" else metric.name
        self._fails, self._bounds = self._detectors(metric)
        self._failing = [gate.start() for gate in self._fails]
        self._bounding = [bound.start() for bound in self._bounds]

    def _detectors(self, metric: Metric) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Those that find harm, one for each direction, and those that exclude it."""
        if metric.kind == "rate":
            return (Evalue2x2(metric.tolerated),), (Margin2x2(self._margins.grid),)
        fails = tuple(MeanEvalue(metric.tolerated, worse) for worse in metric.directions)
        return fails, tuple(MeanBound(self._margins.grid, worse, ALPHA_PASS) for worse in metric.directions)

    def observe(self, release: Ints, rows: Ints, sums: Floats, *, ended_ms: int) -> None:
        batch = self._batch(release * self._stride + rows, sums[:, 0], sums[:, 1])
        pairs = zip(self._fails, self._failing, strict=True)
        self._failing = [gate.observe(state, batch) for gate, state in pairs]
        bounds = zip(self._bounds, self._bounding, strict=True)
        self._bounding = [bound.observe(state, batch) for bound, state in bounds]

    def _batch(self, rows: Ints, b: Floats, c: Floats) -> RateBatch | MeanBatch:
        if self._mean is None:
            return RateBatch(rows, b[:, N], b[:, BAD], c[:, N], c[:, BAD], self._stride)
        arms = (self._columns.moments(arm, self._mean) for arm in (b, c))
        return MeanBatch(rows, *next(arms), *next(arms), self._stride)

    @property
    def detector(self) -> str:
        name: str = self._fails[0].NAME
        return name

    def known(self, releases: int) -> Flags:
        return np.ones(releases, dtype=np.bool_)

    def harm(self, release: int) -> Floats:
        rows = release * self._stride + np.arange(self._stride)
        sides = [g.harm(rows_of(state, rows)) for g, state in zip(self._fails, self._failing, strict=True)]
        most: Floats = np.max(sides, axis=0)
        return most

    def evidence(self, releases: int) -> Floats:
        found = np.zeros((len(self._failing), releases))
        for side, gate, state in zip(found, self._fails, self._failing, strict=True):
            known = self._by_release(gate, state)
            side[: known.size] = known
        both: Floats = np.logaddexp.reduce(found, axis=0) - np.log(len(found))
        return both

    def _by_release(self, _: Any, state: Any) -> Floats:
        """Log e-value of each release that has begun."""
        return log_by_group(state.mixture, self._stride) if state.mixture.moments.size > 1 else np.zeros(0)

    def excluded(self, releases: Ints, shares_ppm: Ints) -> Floats:
        found = np.full(releases.size, np.inf)
        columns = np.array([self._margins.column(share_ppm) for share_ppm in shares_ppm.tolist()], dtype=np.int64)
        # Only a promotion asks for the data since the last step as well.
        for recent, asked in ((False, np.arange(releases.size)), (True, np.flatnonzero(shares_ppm == PPM))):
            for bound, state in zip(self._bounds, self._bounding, strict=True):
                if asked.size:
                    each = self._said(bound, state, releases[asked], recent=recent)
                    found[asked] = np.minimum(found[asked], each[np.arange(asked.size), columns[asked]])
        return found

    def _said(self, bound: Any, state: Any, releases: Ints, *, recent: bool) -> Floats:
        """[releases, margins] what a bound says of their totals."""
        said: Floats = bound.excluded(rows_of(state, releases * self._stride), recent=recent)
        return said

    def begin_step(self, release: int) -> None:
        own = rows_of_releases(np.array([release]), self._summed)
        self._bounding = [msgspec.structs.replace(one, recent=_cleared(one.recent, own)) for one in self._bounding]

    def keep(self, releases: Ints) -> None:
        rows = rows_of_releases(releases, self._stride)
        self._failing = [rows_of(state, rows) for state in self._failing]
        self._bounding = [self._kept(state, releases) for state in self._bounding]

    @property
    def _summed(self) -> int:
        """How many rows a release has in the sums of bounds."""
        return self._stride

    def _kept(self, state: Any, releases: Ints) -> Any:
        """Of a bound what belongs to some releases."""
        return rows_of(state, rows_of_releases(releases, self._stride))


def rows_of_releases(releases: Ints, stride: int) -> Ints:
    """All rows of some releases."""
    rows: Ints = (releases[:, None] * stride + np.arange(stride)).ravel()
    return rows


def _cleared(sums: Any, rows: Ints) -> Any:
    """Sums with zeros in some rows."""
    if isinstance(sums, msgspec.Struct):
        cleared = {name: _cleared(getattr(sums, name), rows) for name in sums.__struct_fields__}
        return msgspec.structs.replace(sums, **cleared)
    after = sums.copy()
    after[rows[rows < after.shape[0]]] = 0.0
    return after
