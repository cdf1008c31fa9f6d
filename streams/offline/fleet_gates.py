"""The gates of a plan over many releases at once: the worker's detectors, with a group of rows for each release."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.differences import Worse
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.sequential.onset import log_by_group
from releases.budget import ALPHA_PASS
from releases.margins import Margins
from releases.ramps.ramp import stages_of
from schemas.plan import Metric, Plan
from schemas.ramp import Adaptive
from schemas.units import PPM
from streams.offline.fleet_traffic import BAD, FleetTraffic, N

S = TypeVar("S", bound=msgspec.Struct)


class FleetGate:
    """One gate of a plan, on a rate or on a mean.

    Parameters
    ----------
    traffic : whose sums the gate reads; of a mean it reads the columns ``mean``, of a rate those of errors (None).
    stride : rows of a release: its total and its segments.
    """

    def __init__(self, plan: Plan, metric: Metric, traffic: FleetTraffic, *, mean: int | None, stride: int) -> None:
        shares = {PPM} | {stage.weight_ppm for stage in stages_of(plan.ramp)}
        self.label = metric.label
        self._margins = Margins(plan, metric, shares)
        self._traffic, self._mean, self._stride = traffic, mean, stride
        self._fails: tuple[Any, ...]
        self._bounds: tuple[Any, ...]
        if mean is None:
            self._fails, self._bounds = (Evalue2x2(metric.tolerated),), (Margin2x2(self._margins.grid),)
        else:
            worse: tuple[Worse, ...] = ("higher", "lower") if metric.worse == "either" else (metric.worse,)
            self._fails = tuple(MeanEvalue(metric.tolerated, one) for one in worse)
            self._bounds = tuple(MeanBound(self._margins.grid, one, ALPHA_PASS) for one in worse)
        self._failing = [gate.start() for gate in self._fails]
        self._bounding = [bound.start() for bound in self._bounds]

    def observe(self, rows: Ints, sums: Floats) -> None:
        """The blocks that closed at one moment, [m, 2, columns]."""
        batch = self._batch(rows, sums[:, 0], sums[:, 1])
        self._failing = [g.observe(state, batch) for g, state in zip(self._fails, self._failing, strict=True)]
        self._bounding = [b.observe(state, batch) for b, state in zip(self._bounds, self._bounding, strict=True)]

    def _batch(self, rows: Ints, b: Floats, c: Floats) -> RateBatch | MeanBatch:
        if self._mean is None:
            return RateBatch(rows, b[:, N], b[:, BAD], c[:, N], c[:, BAD], self._stride)
        arms = (self._traffic.moments(arm, self._mean) for arm in (b, c))
        return MeanBatch(rows, *next(arms), *next(arms), self._stride)

    @property
    def detector(self) -> str:
        """The name that stands in a release's evidence."""
        name: str = self._fails[0].NAME
        return name

    def harm(self, release: int) -> Floats:
        """[R] log e-value of the total and of each segment of one release."""
        rows = release * self._stride + np.arange(self._stride)
        sides = [g.harm(rows_of(state, rows)) for g, state in zip(self._fails, self._failing, strict=True)]
        most: Floats = np.max(sides, axis=0)
        return most

    def evidence(self, releases: int) -> Floats:
        """[releases] log e-value of the gate."""
        found = np.zeros((len(self._failing), releases))
        for side, state in zip(found, self._failing, strict=True):
            known = log_by_group(state.mixture, self._stride) if state.mixture.moments.size > 1 else side[:0]
            side[: known.size] = known
        both: Floats = np.logaddexp.reduce(found, axis=0) - np.log(len(found))
        return both

    def excluded(self, releases: Ints, shares_ppm: Ints) -> Floats:
        """Log evidence of releases against the harm that must be excluded before their canary gets a share."""
        found = np.full(releases.size, np.inf)
        columns = np.array([self._margins.column(share_ppm) for share_ppm in shares_ppm.tolist()])
        for bound, state in zip(self._bounds, self._bounding, strict=True):
            own = rows_of(state, releases * self._stride)
            for recent in (False, True):
                said = bound.excluded(own, recent=recent)[np.arange(releases.size), columns]
                # Only a promotion asks for the data since the last step as well.
                found = np.where(recent & (shares_ppm < PPM), found, np.minimum(found, said))
        return found

    def begin_step(self, release: int) -> None:
        """The evidence of one release since the last step begins anew."""
        own = slice(release * self._stride, (release + 1) * self._stride)
        for index, state in enumerate(self._bounding):
            recent = state.recent.copy()
            recent[own] = 0.0
            self._bounding[index] = msgspec.structs.replace(state, recent=recent)

    def keep(self, releases: Ints) -> None:
        """Forget all but some releases."""
        rows = (releases[:, None] * self._stride + np.arange(self._stride)).ravel()
        self._failing = [rows_of(state, rows) for state in self._failing]
        self._bounding = [rows_of(state, rows) for state in self._bounding]


def fleet_gates(plan: Plan, traffic: FleetTraffic, means: list[str], stride: int) -> list[FleetGate]:
    """All gates of a plan.

    Raises
    ------
    ValueError : the plan has gates on quantiles, labels or several metrics, such that hold, or a ramp with a budget.
    """
    judged = all(gate.kind in {"rate", "mean"} and gate.on_fail == "rollback" for gate in plan.gates)
    known = judged and plan.by_segment and all(gate.range is None for gate in plan.gates)
    if not known or isinstance(plan.ramp, Adaptive) or plan.ramp.segments or plan.ramp.windows:
        raise ValueError("a fleet judges rates and means that roll back, by segment, under ramps whose steps are known")
    columns = [None if gate.kind == "rate" else means.index(gate.name) for gate in plan.gates]
    return [
        FleetGate(plan, gate, traffic, mean=column, stride=stride)
        for gate, column in zip(plan.gates, columns, strict=True)
    ]


def rows_of(state: S, rows: Ints) -> S:
    """A detector's state with some of its rows, ascending; rows that it has not grown yet stay out."""
    taken: dict[str, Any] = {}
    for name in state.__struct_fields__:
        value = getattr(state, name)
        taken[name] = rows_of(value, rows) if isinstance(value, msgspec.Struct) else value[rows[rows < value.shape[0]]]
    return msgspec.structs.replace(state, **taken)
