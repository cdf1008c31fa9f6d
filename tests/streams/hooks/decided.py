"""Decisions for the tests of hooks."""

from __future__ import annotations

import time

from schemas.decision import Action, Decision, State
from schemas.evidence import Evidence, Verdict
from schemas.hook import Hook

RELEASE = "chat-2026-11-20T10:00:00Z-1"
STATES = {
    Action.HOLD: State.HOLDING,
    Action.ROLLBACK: State.ROLLED_BACK,
    Action.PROMOTE: State.PROMOTED,
    Action.ABORT: State.ABORTED,
    Action.PAUSE: State.PAUSED,
}


def row(verdict: Verdict, version: str = "v2", *, segment: str = "", role: str = "gate") -> Evidence:
    return Evidence(
        "error_rate", segment, version, "evalue-2x2", 1, role, verdict, 9_000, 1_000, f"{verdict.value} of {version}",
        baseline=0.01, canary=0.04, effect=0.03, effect_low=0.02, effect_high=0.04, log_evidence=9.0, alpha=0.05,
    )  # fmt: skip


def decided(
    action: Action = Action.ROLLBACK,
    *hooks: Hook,
    epoch: int = 7,
    at_ms: int | None = None,
    service: str = "chat",
    evidence: tuple[Evidence, ...] = (),
    reason: str = "Rolled back v2 from 5 %: error_rate 4 % (v2) vs 1 % (v1).",
    canaries: tuple[str, ...] = ("v2",),
) -> Decision:
    """A decision of now, unless ``at_ms`` says otherwise."""
    return Decision(
        service=service, release_id=RELEASE.replace("chat", service), epoch=epoch,
        at_ms=time.time_ns() // 1_000_000 if at_ms is None else at_ms, action=action,
        state=STATES.get(action, State.RAMPING), verdict=Verdict.FAIL, weights_ppm={"v1": 1_000_000}, actor="serinus",
        reason=reason, through={"0": 41, "1": 17}, evidence=evidence, baseline="v1", canaries=canaries, hooks=hooks,
        plan_hash="ab12",
    )  # fmt: skip
