"""What the gates and the harm budgets of many releases say: the worker's judge, for all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from releases.budget import fail_threshold, gate_weights
from releases.lowering import Lowering
from releases.release_state import Release
from releases.ruling import PASS_THRESHOLD
from schemas.evidence import Verdict
from schemas.plan import Plan
from streams.offline.fleet_blocks import Closed
from streams.offline.fleet_columns import Columns, N
from streams.offline.fleet_gates import FleetJudge
from streams.offline.fleet_harm import FleetHarm
from streams.offline.fleet_setup import fleet_gates


class Said(NamedTuple):
    """Of one release the verdict, and the share that it was asked about, in parts per million."""

    verdict: Verdict
    for_share_ppm: int


class FleetVerdicts:
    """The evidence of some releases of one plan, numbered from 0.

    Parameters
    ----------
    stride : rows of a release: its total and its segments.
    """

    def __init__(self, plan: Plan, columns: Columns, *, releases: int, stride: int) -> None:
        self._plan = plan
        self._gates = fleet_gates(plan, columns, releases=releases, stride=stride)
        self._harm = FleetHarm(plan, releases=releases, stride=stride)
        self._judges: tuple[FleetJudge, ...] = (*self._gates, self._harm)
        self._compared = np.zeros(releases, dtype=np.bool_)

    def hear(self, arms: Floats, *, ended_ms: int) -> None:
        """The requests [releases, 2] of a second."""
        self._harm.hear(arms, ended_ms=ended_ms)

    def observe(self, closed: Closed) -> None:
        """The blocks that closed at one moment."""
        both = (closed.sums[:, :, N] > 0).all(axis=1)
        self._compared[closed.release[both]] = True
        for judge in self._judges:
            judge.observe(closed.release, closed.rows, closed.sums, ended_ms=closed.ended_ms)

    def evidence(self) -> Floats:
        """[gates, releases] log e-values.

        Raises
        ------
        ValueError : when one is not a number.
        """
        logs = np.stack([gate.evidence(self._compared.size) for gate in self._gates])
        if np.isnan(logs).any():
            raise ValueError("the evidence of a gate is not a number")
        return logs

    def failed(self, logs: Floats) -> Flags:
        """[releases] which fail by all gates together."""
        weights = np.log(list(gate_weights(self._plan).values()))[:, None]
        failed: Flags = np.logaddexp.reduce(logs + weights, axis=0) >= fail_threshold(self._plan)
        return failed

    def known(self) -> Flags:
        """[releases] of which every gate has something to say."""
        known = self._compared.copy()
        for gate in self._gates:
            known &= gate.known(known.size)
        return known

    def overspent(self, stage: Ints) -> Flags:
        """[releases] whose present share most likely costs more than the harm budget."""
        return self._harm.overspent(stage)

    def lowering(self, index: int, release: Release) -> Lowering | None:
        """Where one release goes down to."""
        return self._harm.lowering(index, release)

    def says(self, releases: Mapping[int, Release], *, now_ms: int) -> dict[int, Said]:
        """PASS for the largest share that each of some releases may open, else INCONCLUSIVE."""
        said = {one: Said(Verdict.INCONCLUSIVE, release.next_share_ppm) for one, release in releases.items()}
        asked = {one: self._harm.shares_asked(one, release, now_ms=now_ms) for one, release in releases.items()}
        for place in range(max(map(len, asked.values()), default=0)):
            # The largest share of each, then the next smaller one of those that have more to ask and have not passed.
            open_ = {one: shares[place] for one, shares in asked.items() if place < len(shares)}
            open_ = {one: share_ppm for one, share_ppm in open_.items() if said[one].verdict is not Verdict.PASS}
            may = self._passing(np.array(list(open_), dtype=np.int64), np.array(list(open_.values()), dtype=np.int64))
            for (one, share_ppm), passes in zip(open_.items(), may.tolist(), strict=True):
                said[one] = Said(Verdict.PASS if passes else Verdict.INCONCLUSIVE, share_ppm)
        return said

    def _passing(self, releases: Ints, shares_ppm: Ints) -> Flags:
        """Which may open their share. One gate that does not pass is enough; which one it is nobody is told here."""
        passed = np.ones(releases.size, dtype=np.bool_)
        for gate in self._gates:
            open_ = np.flatnonzero(passed)
            if open_.size:
                passed[open_] = gate.excluded(releases[open_], shares_ppm[open_]) >= PASS_THRESHOLD
        return passed

    def cause(self, index: int, logs: Floats) -> tuple[str, int, str]:
        """Of one release with log e-values [gates]: the gate of the largest, the row of most harm, its detector."""
        gate = self._gates[int(np.argmax(logs))]
        return gate.label, int(np.argmax(gate.harm(index))), gate.detector

    def begin_step(self, index: int) -> None:
        """The evidence of one release since the last step begins anew."""
        for judge in self._judges:
            judge.begin_step(index)

    def keep(self, index: Ints) -> None:
        """Forget all but some releases, and number them anew."""
        self._compared = self._compared[index]
        for judge in self._judges:
            judge.keep(index)
