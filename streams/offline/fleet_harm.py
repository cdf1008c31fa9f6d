"""The harm budgets of many adaptive releases at once: what may have been spent, and which shares that affords."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.batches import RateBatch
from detectors.state_rows import rows_of
from releases.asking import shares_asked
from releases.harm import BOUND, HarmState, shortage
from releases.harm import begin_step as begun_anew
from releases.lowering import Lowering, lowering
from releases.ramps.ramp import stages_of
from releases.release_state import Release
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM
from streams.offline.fleet_columns import BAD, N

_NOT_YET = -1


class FleetHarm:
    """What :class:`releases.harm.HarmState` says of each of some releases with one canary; nothing of other ramps.

    Parameters
    ----------
    stride : rows of a release: its total and its segments.
    """

    def __init__(self, plan: Plan, *, releases: int, stride: int) -> None:
        self._plan, self._stride = plan, stride
        self._adaptive = plan.ramp if isinstance(plan.ramp, Adaptive) else None
        self._weights_ppm = np.array([stage.weight_ppm for stage in stages_of(plan.ramp)])
        self._bound = BOUND.start()
        self._requests, self._seen = np.zeros(releases, dtype=np.int64), np.zeros(releases, dtype=np.int64)
        self._compared, self._extra = np.zeros(releases), np.zeros(releases)
        self._since_ms = np.full(releases, _NOT_YET, dtype=np.int64)
        self._until_ms = np.full(releases, _NOT_YET, dtype=np.int64)

    def hear(self, arms: Floats, *, ended_ms: int) -> None:
        """The requests [releases, 2] of a second."""
        if self._adaptive is None:
            return
        n = arms.sum(axis=1).astype(np.int64)
        self._requests += arms[:, 1].astype(np.int64)
        self._seen += n
        self._pass_to(n > 0, ended_ms)

    def observe(self, release: Ints, rows: Ints, sums: Floats, *, ended_ms: int) -> None:
        """The blocks that closed at one moment, as :class:`streams.offline.fleet_gates.FleetGate` takes them."""
        if self._adaptive is None:
            return
        b, c = sums[:, 0], sums[:, 1]
        places = release * self._stride + rows
        batch = RateBatch(places, b[:, N], b[:, BAD], c[:, N], c[:, BAD], self._stride)
        self._bound = BOUND.observe(self._bound, batch)
        pairs = batch.pairs
        whose, count = pairs.rows // self._stride, self._extra.size
        extra = pairs.k_c - pairs.n_c * pairs.k_b / pairs.n_b
        self._compared += np.bincount(whose, weights=pairs.n_c, minlength=count)
        self._extra += np.bincount(whose, weights=extra, minlength=count)
        closing = np.zeros(count, dtype=np.bool_)
        closing[release] = True
        self._pass_to(closing, ended_ms)

    def _pass_to(self, which: Flags, ended_ms: int) -> None:
        """Time has passed for some releases; a rate is known only once it has passed since the step began."""
        self._since_ms[which & (self._since_ms == _NOT_YET)] = ended_ms
        self._seen[which & (self._since_ms >= ended_ms)] = 0
        self._until_ms[which] = ended_ms

    def overspent(self, stage: Ints) -> Flags:
        """[releases] in which the present share most likely costs more than the budget."""
        if self._adaptive is None:
            return np.zeros(stage.size, dtype=np.bool_)
        passed_ms = np.maximum(self._until_ms - self._since_ms, 1)
        expected = self._seen * self._adaptive.hold / passed_ms
        rate = np.maximum(self._extra / np.maximum(self._compared, 1.0), 0.0)
        likely = self._extra + expected * rate * self._weights_ppm[stage] / PPM
        over: Flags = (stage > 0) & (self._seen > 0) & (likely > self._adaptive.harm_budget)
        return over

    def lowering(self, index: int, release: Release) -> Lowering | None:
        """Where one release goes down to."""
        return lowering(release, self._of(index))

    def shares_asked(self, index: int, release: Release, *, now_ms: int) -> list[int]:
        """The shares that one release asks about, the largest first; those that its budget does not afford left out."""
        if self._adaptive is None:
            return [release.next_share_ppm]
        harm = self._of(index)
        asked = shares_asked(release, harm, now_ms=now_ms)
        return [share for share in asked if shortage(self._plan, harm, release.running, share) is None]

    def begin_step(self, index: int) -> None:
        """The share of one release has changed."""
        began = begun_anew(self._of(index))
        self._seen[index] = began.seen
        self._since_ms[index] = _NOT_YET if began.since_ms is None else began.since_ms

    def keep(self, releases: Ints) -> None:
        """Forget all but some releases, and number them anew."""
        rows = (releases[:, None] * self._stride + np.arange(self._stride)).ravel()
        self._bound = rows_of(self._bound, rows)
        for name in ("_requests", "_seen", "_compared", "_extra", "_since_ms", "_until_ms"):
            setattr(self, name, getattr(self, name)[releases])

    def _of(self, index: int) -> HarmState:
        """One release's own: of its bound the total alone, which is all that is asked."""
        if self._adaptive is None:
            return HarmState()
        canary = self._plan.canaries[0]
        total = rows_of(self._bound, np.array([index * self._stride]))
        bound = total if total.overall.shape[0] else BOUND.start()
        known = self._since_ms[index] != _NOT_YET
        return HarmState(
            bounds={canary: bound},
            requests={canary: int(self._requests[index])},
            compared={canary: float(self._compared[index])},
            extra={canary: float(self._extra[index])},
            seen=int(self._seen[index]),
            since_ms=int(self._since_ms[index]) if known else None,
            until_ms=int(self._until_ms[index]) if known else None,
        )
