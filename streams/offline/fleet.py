"""Closed-loop simulation of many releases side by side: what `serinus simulate` does, vectorised over releases.

Traffic is drawn as there and judged by the worker's detectors in groups of rows. The worker's state machine decides;
it is asked only when its answer can differ from "go on", since asking costs more than judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from releases.lowering import Lowering
from releases.machine import step
from releases.machine_io import Commanded, Judged, Publish
from releases.release_state import Release, ReleaseState
from schemas.command import Command, Verb
from schemas.decision import State
from schemas.evidence import Verdict
from schemas.plan import Plan
from schemas.route import Route
from streams.offline.arrivals import STEP_MS
from streams.offline.drawing import World
from streams.offline.fleet_blocks import Blocks
from streams.offline.fleet_columns import N
from streams.offline.fleet_requests import Dealt, FleetRequests
from streams.offline.fleet_setup import columns_read
from streams.offline.fleet_splits import FleetSplits
from streams.offline.fleet_traffic import FleetTraffic, bounds_of
from streams.offline.fleet_verdicts import FleetVerdicts, Said
from streams.offline.outcome import DecidedBy
from streams.offline.simulate import START_MS, Run

_MIRRORED = ("_seen_ms", "_stage", "_from_ms")

REASON = "simulated side by side with others; alone it tells its decisions: --seed {seed}"


class Fleet:
    """Releases of one scenario under one plan, a seed for each.

    Attributes
    ----------
    split_errors : seeds of the releases whose split has looked broken, at least for a while.

    Raises
    ------
    ValueError : the scenario or the plan has something that this way of simulating leaves out.
    """

    def __init__(self, world: World, plan: Plan, seeds: Sequence[int]) -> None:
        count = len(seeds)
        columns = columns_read(world, plan)
        machine, route = _started(plan, world)
        salt = machine.release.salt if machine.release is not None else ""
        self._plan, self._world = plan, world
        users, bounds = world.scenario.traffic.users is not None, bounds_of(world, plan)
        self._traffic: FleetTraffic | FleetRequests = (
            FleetRequests(world, columns, bounds, salt=salt)
            if users or not columns.nested
            else FleetTraffic(world, columns, bounds)
        )
        self._verdicts = FleetVerdicts(plan, columns, releases=count, stride=1 + len(world.segments))
        self._seeds = np.array(seeds, dtype=np.int64)
        self._ended: list[Run] = []
        self._machines = [machine] * count
        self._blocks = Blocks(count, world.segments, columns, plan.baseline < plan.canaries[0])
        self._splits: FleetSplits | None = None
        if users:
            assert isinstance(self._traffic, FleetRequests)
            hashes = [self._traffic.hashes(seed) for seed in self._seeds.tolist()]
            self._splits = FleetSplits(plan, world.segments, hashes, route)
        self.split_errors: set[int] = set()
        self._requests, self._before_onset = np.zeros((count, 2)), np.zeros(count)
        self._unknown = np.ones(count, dtype=np.bool_)
        self._seen_ms = np.full((count, 2), START_MS)
        self._stage = np.zeros(count, dtype=np.int64)
        self._from_ms = np.zeros((count, 2), dtype=np.int64)
        for index in range(count):
            self._mirror(index)

    def run(self) -> list[Run]:
        """All releases to their end, in the order of their seeds."""
        chunks = -(-self._world.steps // self._world.chunk_steps)
        heard: _Heard | None = None
        for chunk in range(chunks):
            if not self._seeds.size:
                break
            seconds = self._traffic.load(chunk, self._seeds.tolist())
            alive = np.arange(self._seeds.size)
            for offset in range(seconds):
                at = chunk * self._world.chunk_steps + offset
                sums, dealt = self._traffic.heard(offset, alive, self._stage)
                self._requests += sums[..., N].sum(axis=1)
                if self._world.onset_ms is not None and at * STEP_MS < self._world.onset_ms:
                    self._before_onset = self._requests[:, 1].copy()
                goes_on = self._judge(at, heard)
                heard = _Heard(sums, dealt)
                if not goes_on.all():
                    alive, heard = alive[goes_on], heard.keep(goes_on)
                    self._keep(np.flatnonzero(goes_on))
                    if not alive.size:
                        break
        self._ended += [self._end(index, None, None) for index in range(self._seeds.size)]
        return sorted(self._ended, key=lambda one: one.seed)

    def _judge(self, at: int, heard: _Heard | None) -> Flags:
        """What the input that reports second ``at`` leads to: evidence of the second before it. False: has ended."""
        now_ms = START_MS + (at + 1) * STEP_MS
        arms = np.zeros((self._seeds.size, 2))
        if heard is not None:
            arms = heard.sums[..., N].sum(axis=1)
            self._seen_ms[arms > 0] = now_ms
            self._verdicts.hear(arms, ended_ms=now_ms - STEP_MS)
            for closed in self._blocks.add(at - 1, heard.sums):
                self._verdicts.observe(closed)
            if self._splits is not None and heard.dealt is not None:
                self._splits.observe(heard.dealt, now_ms=now_ms - STEP_MS)
        return self._decide(now_ms, arms, self._verdicts.evidence())

    def _decide(self, now_ms: int, arms: Floats, logs: Floats) -> Flags:
        """Ask the machines whose answer can matter now."""
        waits = now_ms >= self._from_ms[:, 0]
        limits = self._plan.limits
        silence = now_ms - self._seen_ms.min(axis=1) >= min(limits.no_data.after, limits.no_data_rollback)
        failed, known = self._verdicts.failed(logs), self._verdicts.known()
        broken = np.zeros_like(known) if self._splits is None else self._splits.broken
        overspent = self._verdicts.overspent(self._stage)
        asked = failed | broken | ~known | self._unknown | waits | silence | overspent | (now_ms >= self._from_ms[:, 1])
        goes_on = np.ones(asked.size, dtype=np.bool_)
        # Only what a machine has not heard before, a limit, or a PASS can make it do anything but go on.
        news = self._unknown | silence | overspent | (now_ms >= self._from_ms[:, 1])
        for index, said in self._said(now_ms, np.flatnonzero(asked), failed, known, broken).items():
            verdict = said.verdict
            if verdict is Verdict.INCONCLUSIVE and not news[index]:
                continue
            before = self._machines[index].release
            assert before is not None
            self._unknown[index] = verdict in {Verdict.NO_DATA, Verdict.ERROR}
            lowering = self._verdicts.lowering(index, before) if overspent[index] else None
            after = self._step(index, now_ms, said, arms[index], lowering)
            if after.step_since_ms != before.step_since_ms:
                self._verdicts.begin_step(index)
            self._mirror(index)
            if not after.active:
                cause = self._cause(index, logs[:, index]) if verdict is Verdict.FAIL else None
                self._ended.append(self._end(index, now_ms, cause))
                goes_on[index] = False
        return goes_on

    def _said(self, now_ms: int, asked: Ints, failed: Flags, known: Flags, broken: Flags) -> dict[int, Said]:
        """What the judge says of each release that is asked."""
        self.split_errors.update(self._seeds[broken].tolist())
        said, open_ = dict[int, Said](), dict[int, Release]()
        for index in asked.tolist():
            release = self._machines[index].release
            assert release is not None
            if failed[index]:
                said[index] = Said(Verdict.FAIL, release.next_share_ppm)
            elif broken[index] or not known[index]:
                said[index] = Said(Verdict.ERROR if broken[index] else Verdict.NO_DATA, release.next_share_ppm)
            else:
                open_[index] = release
        return said | self._verdicts.says(open_, now_ms=now_ms)

    def _step(self, index: int, now_ms: int, said: Said, arms: Floats, lowering: Lowering | None) -> Release:
        state, plan = self._machines[index], self._plan
        release = state.release
        assert release is not None
        # Seconds in which nobody asked the machine have been seen all the same.
        seen = {plan.baseline: int(self._seen_ms[index, 0]), plan.canaries[0]: int(self._seen_ms[index, 1])}
        state = msgspec.structs.replace(state, release=msgspec.structs.replace(release, seen_ms=seen))
        judged = Judged(
            seq=state.seq + 1,
            verdict=said.verdict,
            for_share_ppm=said.for_share_ppm,
            reason="as simulated",
            canary_requests={plan.canaries[0]: int(arms[1])},
            baseline_requests=int(arms[0]),
            lowering=lowering,
        )
        self._machines[index], effects = step(state, judged, now_ms)
        for effect in effects:
            if isinstance(effect, Publish) and self._splits is not None:
                self._splits.follow(index, effect.route)
        after = self._machines[index].release
        assert after is not None
        return after

    def _mirror(self, index: int) -> None:
        """Keep beside the arrays what says when to ask the machine again."""
        release = self._machines[index].release
        assert release is not None
        limits, held = self._plan.limits, release.state is not State.RAMPING
        over_ms = release.step_since_ms + release.hold_ms
        self._stage[index] = release.opened - 1
        last_ms = max(over_ms, release.resumed_ms) + limits.inconclusive.after
        self._from_ms[index] = (0 if held else over_ms, min(release.started_ms + limits.max_duration, last_ms))

    def _cause(self, index: int, logs: Floats) -> DecidedBy:
        """The gate with the largest evidence, and the row that shows most harm: the total or one segment."""
        label, row, detector = self._verdicts.cause(index, logs)
        return DecidedBy(label, self._blocks.segment(index, row), detector)

    def _end(self, index: int, now_ms: int | None, cause: DecidedBy | None) -> Run:
        release, onset_ms = self._machines[index].release, self._world.onset_ms
        assert release is not None
        baseline, canary = (int(n) for n in self._requests[index])
        onset_ms = None if onset_ms is None else START_MS + onset_ms
        later = onset_ms is not None and (now_ms is None or now_ms > onset_ms)
        return Run(
            scenario=self._world.scenario.name,
            seed=int(self._seeds[index]),
            state=release.state,
            decided_at_ms=now_ms,
            onset_ms=onset_ms,
            decided_by=cause,
            requests={self._plan.baseline: baseline, self._plan.canaries[0]: canary},
            canary_requests_at_decision=None if now_ms is None else canary,
            canary_requests_after_onset=canary - int(self._before_onset[index]) if later else None,
            reason=REASON.format(seed=int(self._seeds[index])),
        )

    def _keep(self, index: Ints) -> None:
        self._seeds = self._seeds[index]
        self._machines = [self._machines[one] for one in index.tolist()]
        self._blocks.keep(index)
        if self._splits is not None:
            self._splits.keep(index)
        self._verdicts.keep(index)
        for name in ("_requests", "_before_onset", "_unknown", *_MIRRORED):
            setattr(self, name, getattr(self, name)[index])


@dataclass(frozen=True, slots=True)
class _Heard:
    """A second's sums [releases, segments, 2, columns] and, where they are kept, its requests."""

    sums: Floats
    dealt: Dealt | None

    def keep(self, goes_on: Flags) -> _Heard:
        """Forget all but some releases."""
        return _Heard(self.sums[goes_on], None if self.dealt is None else self.dealt.keep(goes_on))


def _started(plan: Plan, world: World) -> tuple[ReleaseState, Route]:
    start = Command("start", plan.service, Verb.START, "simulate", world.scenario.name, START_MS, plan=plan)
    state, effects = step(ReleaseState(service=plan.service), Commanded(0, start), START_MS)
    return state, next(effect.route for effect in effects if isinstance(effect, Publish))
