"""Closed-loop simulation: traffic follows the routes that the release publishes, the worker's fold judges the traffic.

The judgement is the worker's own: :func:`streams.worker.fold.fold`, fed with what ingest would report of each second.
"""

from __future__ import annotations

import msgspec

from releases.machine_io import Decide, Publish
from schemas.command import Command, Verb
from schemas.decision import Decision, State
from schemas.plan import Plan
from schemas.report import SLICE_MS
from streams.offline.arrivals import STEP_MS
from streams.offline.drawing import World
from streams.offline.outcome import DecidedBy, decided_by, final
from streams.offline.traffic import Shares, Traffic
from streams.worker.fold import Effect, fold, start_service
from streams.worker.state import Asked, BasisLearned, Input, SliceSeen

START_MS = 1_767_225_600_000
"""When every simulated release starts, Unix ms: 2026-01-01T00:00:00Z. Simulated time has nothing to do with ours."""

SOURCE = "simulation/0"


class Run(msgspec.Struct, frozen=True, tag="run", tag_field="type"):
    """One simulated release.

    Parameters
    ----------
    state : at the end of the scenario or of the release, whichever comes first.
    decided_at_ms, onset_ms, started_ms : Unix ms; None: not decided, no change of the canary.
    requests : answered ones by version, until the release or the scenario ended.
    canary_requests_at_decision : answered by all canaries until the decision; None without one.
    canary_requests_after_onset : answered by them from the onset to the end; None without an onset before it.
    """

    scenario: str
    seed: int
    state: State
    decided_at_ms: int | None
    onset_ms: int | None
    decided_by: DecidedBy | None
    requests: dict[str, int]
    canary_requests_at_decision: int | None
    canary_requests_after_onset: int | None
    reason: str
    started_ms: int = START_MS


class Simulated(msgspec.Struct, frozen=True):
    """A run with every decision on the way."""

    run: Run
    decisions: list[Decision]


def simulate(world: World, plan: Plan, *, seed: int) -> Simulated:
    """Simulate one release of a scenario. The same seed gives the same result.

    Parameters
    ----------
    world : the scenario, with its files.
    plan : of the release; its first input starts it.
    seed : of the traffic, >= 0.
    """
    loop = _Loop(world, plan, seed)
    while loop.goes_on:
        loop.step()
    return loop.simulated()


class _Loop:
    """One release on its way."""

    def __init__(self, world: World, plan: Plan, seed: int) -> None:
        self._world, self._plan, self._seed = world, plan, seed
        self._traffic = Traffic(world, plan, seed=seed, start_ms=START_MS)
        self._shares = Shares.of({}, plan.canaries, "")
        self._decisions: list[Decision] = []
        self._requests = [0] * (1 + len(plan.canaries))
        self._before_onset = 0
        self._step = 0
        start = Command("start", plan.service, Verb.START, "simulate", world.scenario.name, START_MS, plan=plan)
        self._service, effects = fold(start_service(plan.service, 0, START_MS), Input(0, START_MS, Asked(start)))
        self._follow(effects)

    @property
    def goes_on(self) -> bool:
        return self._step < self._world.steps and final(self._decisions) is None

    def step(self) -> None:
        """One second of traffic, and what the worker makes of it."""
        start_ms = START_MS + self._step * STEP_MS
        end_ms = start_ms + STEP_MS
        heard = self._traffic.step(self._shares)
        self._requests = [a + b for a, b in zip(self._requests, heard.requests, strict=True)]
        if self._world.onset_ms is not None and start_ms < START_MS + self._world.onset_ms:
            self._before_onset = self._canary_requests
        self._step += 1
        # The second is reported as its last slice: beats of one second, each of them one more look at the evidence.
        seen = SliceSeen(SOURCE, end_ms // SLICE_MS - 1, sum(self._requests) - 1, tuple(heard.cells))
        self._service, effects = fold(self._service, Input(self._step, end_ms, seen))
        self._follow(effects)

    @property
    def _canary_requests(self) -> int:
        return sum(self._requests[1:])

    def _follow(self, effects: tuple[Effect, ...]) -> None:
        """Routers follow a route, and ingest counts in a basis, from the next second on."""
        for effect in effects:
            if isinstance(effect, Decide):
                self._decisions.append(effect.decision)
            elif isinstance(effect, Publish):
                route = effect.route
                self._shares = Shares.of(
                    route.weights_ppm, self._plan.canaries, route.salt, route.rules, epoch=route.epoch
                )
            elif isinstance(effect, BasisLearned):
                self._traffic.count_in(effect.basis)

    def simulated(self) -> Simulated:
        end = final(self._decisions)
        onset_ms = None if self._world.onset_ms is None else START_MS + self._world.onset_ms
        later = onset_ms is not None and (end is None or end.at_ms > onset_ms)
        run = Run(
            scenario=self._world.scenario.name,
            seed=self._seed,
            state=self._decisions[-1].state,
            decided_at_ms=None if end is None else end.at_ms,
            onset_ms=onset_ms,
            decided_by=None if end is None else decided_by(end, self._plan),
            requests=dict(zip((self._plan.baseline, *self._plan.canaries), self._requests, strict=True)),
            canary_requests_at_decision=None if end is None else self._canary_requests,
            canary_requests_after_onset=self._canary_requests - self._before_onset if later else None,
            reason=self._decisions[-1].reason,
        )
        return Simulated(run, self._decisions)


class Summary(msgspec.Struct, frozen=True, tag="summary", tag_field="type"):
    """All runs: how many ended in which state, and how many were rolled back by evidence, also by scenario."""

    runs: int
    states: dict[str, int]
    rolled_back_by_evidence: int
    scenarios: dict[str, dict[str, int]]


def summary_of(runs: list[Run]) -> Summary:
    """The counts of final states."""
    scenarios: dict[str, dict[str, int]] = {}
    for run in runs:
        counts = scenarios.setdefault(run.scenario, {})
        counts[run.state.value] = counts.get(run.state.value, 0) + 1
    states: dict[str, int] = {}
    for counts in scenarios.values():
        for state, count in counts.items():
            states[state] = states.get(state, 0) + count
    return Summary(len(runs), states, sum(run.decided_by is not None for run in runs), scenarios)
