"""Drives the machine like a worker would: offsets grow, time passes, effects are kept."""

from __future__ import annotations

import itertools
from typing import Any

from releases.machine import step
from releases.machine_io import Commanded, Decide, Effect, Judged, MachineInput, Publish, Refuse, Ticked
from releases.release_state import Release, ReleaseState
from schemas.command import Command, Verb
from schemas.decision import Decision
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan
from schemas.route import Route
from schemas.units import PPM

START_MS = 1_763_632_800_000
SECOND_MS, MINUTE_MS = 1_000, 60_000

PLAN = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 1%, hold: 2m}, {weight: 5%, hold: 5m}, {weight: 25%, hold: 5m}]}
metrics: [{name: error_rate, margin: 0.5%}]
"""

TWO_CANARIES = PLAN.replace("[v2]", "[v2, v3]")

SILENT: dict[str, Any] = {"canary_requests": {"v2": 0}}
"""For `judge`: nothing from the canary."""


def plan_of(text: str = PLAN, extra: str = "") -> Plan:
    return parse_plan(text + extra, file="plan.yaml")


def next_share_ppm(state: ReleaseState) -> int | None:
    """The least that the next step of an active release opens."""
    return state.release.next_share_ppm if state.release is not None and state.release.active else None


class Story:
    """One service and what happened to it."""

    def __init__(self, plan: Plan | None = None, *, begin: bool = True) -> None:
        self.state = ReleaseState(service="chat")
        self.now_ms = START_MS
        self.plan = plan if plan is not None else plan_of()
        self.effects: list[Effect] = []
        self._ids = itertools.count(1)
        if begin:
            self.command(Verb.START, plan=self.plan)

    @property
    def release(self) -> Release:
        assert self.state.release is not None
        return self.state.release

    @property
    def decisions(self) -> list[Decision]:
        return [effect.decision for effect in self.effects if isinstance(effect, Decide)]

    @property
    def routes(self) -> list[Route]:
        return [effect.route for effect in self.effects if isinstance(effect, Publish)]

    @property
    def refusals(self) -> list[str]:
        return [effect.refusal.reason for effect in self.effects if isinstance(effect, Refuse)]

    @property
    def last(self) -> Decision:
        return self.decisions[-1]

    def put(self, input_: MachineInput) -> tuple[Effect, ...]:
        self.state, effects = step(self.state, input_, self.now_ms)
        self.effects += effects
        return effects

    def wait(self, duration_ms: int) -> Story:
        """Time passes and nobody says so."""
        self.now_ms += duration_ms
        return self

    def tick(self) -> tuple[Effect, ...]:
        return self.put(Ticked(seq=self.state.seq + 1))

    def judge(self, verdict: Verdict = Verdict.PASS, share_ppm: int = PPM, **more: Any) -> tuple[Effect, ...]:
        """Evidence with traffic from everybody, unless ``canary_requests`` or ``baseline_requests`` say otherwise."""
        facts: dict[str, Any] = {"canary_requests": dict.fromkeys(self.plan.canaries, 3), "baseline_requests": 97}
        judged = Judged(
            seq=self.state.seq + 1,
            verdict=verdict,
            for_share_ppm=share_ppm,
            **({"reason": f"error_rate says {verdict.value}"} | facts | more),
        )
        return self.put(judged)

    def keep(self, verdict: Verdict, duration_ms: int, *, every_ms: int = SECOND_MS, **more: Any) -> Story:
        """The same evidence again and again for a while."""
        for _ in range(duration_ms // every_ms):
            self.wait(every_ms).judge(verdict, **more)
        return self

    def command(self, verb: Verb, **more: Any) -> tuple[Effect, ...]:
        facts: dict[str, Any] = {"id": f"c{next(self._ids)}", "service": "chat", "actor": "ann", "reason": "because"}
        facts |= {"skip_evidence": verb is Verb.PROMOTE}
        command = Command(command=verb, issued_at_ms=self.now_ms, **(facts | more))
        return self.put(Commanded(seq=self.state.seq + 1, command=command))
