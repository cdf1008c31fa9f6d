"""Gates whose state cannot be shared, one of the worker's own for each release of a fleet: quantiles, output mixes.

A quantile's threshold and the values of a label are found anew in every release, so there is no common row for them.
"""

from __future__ import annotations

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.blocks import Block
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.gates import gate_of
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM
from streams.offline.fleet_columns import BAD, Columns, N


class LoneGates:
    """One gate of a plan, on a quantile or on an output mix, in each of some releases.

    Parameters
    ----------
    columns : of the sums that it reads.
    releases : how many there are.
    """

    def __init__(self, plan: Plan, metric: Metric, columns: Columns, *, releases: int) -> None:
        self.label = metric.label
        self._metric = metric
        self._gate = gate_of(plan, metric)
        self._versions, self._columns = (plan.baseline, plan.canaries[0]), columns
        self._known = [self._gate.start()] * releases
        self._log_e = np.zeros(releases)
        self._says = np.zeros(releases, dtype=np.bool_)

    @property
    def detector(self) -> str:
        return self._gate.detector

    def observe(self, release: Ints, rows: Ints, sums: Floats, *, ended_ms: int) -> None:
        for one in np.unique(release).tolist():
            own = release == one
            pairs = zip(rows[own].tolist(), sums[own], strict=True)
            blocks = [Block("", row, ended_ms, ended_ms, self._arms(arms)) for row, arms in pairs]
            known = self._known[one] = self._gate.observe(self._known[one], blocks, self._versions[1])
            self._log_e[one] = self._gate.evidence(known)
            self._says[one] = self._gate.compared(known)

    def _arms(self, sums: Floats) -> dict[str, Summary]:
        return {version: self._summary(arm) for version, arm in zip(self._versions, sums, strict=True) if arm[N] > 0}

    def _summary(self, arm: Floats) -> Summary:
        """Of an arm what the gate looks at."""
        requests, name = Rate(int(arm[N]), int(arm[BAD])), self._metric.name
        if self._metric.level is None:
            return Summary(requests, {}, {name.removeprefix("labels."): Counts(self._columns.of_label(arm, name))})
        return Summary(requests, {name: Measure(histogram=LogHistogram(*self._columns.of_bins(arm, name)))})

    def known(self, releases: int) -> Flags:
        return self._says

    def evidence(self, releases: int) -> Floats:
        return self._log_e

    def harm(self, release: int) -> Floats:
        return np.array(self._gate.harm(self._known[release]))

    def excluded(self, releases: Ints, shares_ppm: Ints) -> Floats:
        return np.array(
            [self._excluded(one, ppm) for one, ppm in zip(releases.tolist(), shares_ppm.tolist(), strict=True)]
        )

    def _excluded(self, release: int, share_ppm: int) -> float:
        asked = (False, True) if share_ppm == PPM else (False,)
        return min(self._gate.excluded(self._known[release], share_ppm, recent=recent) for recent in asked)

    def begin_step(self, release: int) -> None:
        self._known[release] = self._gate.begin_step(self._known[release])

    def keep(self, releases: Ints) -> None:
        self._known = [self._known[one] for one in releases.tolist()]
        self._log_e, self._says = self._log_e[releases], self._says[releases]
