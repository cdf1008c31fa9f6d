"""Suspicion: evidence of harm that is too little to roll back, and enough for an adaptive ramp to stop growing."""

from __future__ import annotations

from math import log
from typing import Final, Literal, NamedTuple

from releases.budget import release_evidence
from releases.gates import Gate, Known
from releases.judge import JudgeState, gate_in
from releases.remembered import remembered
from releases.sentence import once_in
from schemas.plan import Plan
from schemas.ramp import Adaptive

SUSPECTED: Final = log(3)
"""At most one in three healthy releases ever has as much evidence against it, far fewer where harm is tolerated."""


class Suspicion(NamedTuple):
    """Logarithm of the largest e-value against any canary, and the gate that has most of it."""

    log_evidence: float
    metric: str

    @property
    def text(self) -> str:
        """In words, without what is done about it."""
        return f"harm is suspected, by {self.metric} most of all; {once_in(self.log_evidence)}"


def gate_logs(plan: Plan, state: JudgeState, canary: str, action: Literal["rollback", "hold"]) -> dict[str, float]:
    """Per gate with this action the log e-value against one canary."""
    known = state.known[canary]
    gates = {gate.label: gate_in(plan, gate, state.counting) for gate in plan.gates if gate.on_fail == action}
    return {label: _evidence(known[label], judge, plan.by_segment) for label, judge in gates.items()}


def suspicion(plan: Plan, state: JudgeState, running: tuple[str, ...]) -> Suspicion | None:
    """What is held against the canaries of an adaptive ramp, from :data:`SUSPECTED` on; None: nothing worth a word."""
    if not isinstance(plan.ramp, Adaptive):
        return None
    found = [gate_logs(plan, state, canary, "rollback") for canary in running]
    logs = max(found, key=lambda its: release_evidence(plan, its, "rollback"))
    # Any of several canaries may have it by chance.
    log_evidence = release_evidence(plan, logs, "rollback") - log(len(plan.canaries))
    if not log_evidence >= SUSPECTED:
        return None
    return Suspicion(log_evidence, max(logs, key=lambda label: logs[label]))


@remembered
def _evidence(known: Known, judge: Gate, by_segment: bool) -> float:
    """Half on the total, half spread over the segments; of a plan that does not judge by segment the total alone."""
    return judge.evidence(known) if by_segment else judge.harm(known)[0]
