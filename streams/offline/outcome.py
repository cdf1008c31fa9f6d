"""How a release ended, in the words that `replay` and `simulate` print."""

from __future__ import annotations

import msgspec

from schemas.decision import Decision, State
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan


class DecidedBy(msgspec.Struct, frozen=True):
    """The evidence that ended a release."""

    metric: str
    segment: str
    detector: str


def decided_by(decision: Decision, plan: Plan) -> DecidedBy | None:
    """The gate whose evidence rolled a release back; None for everything else: limits, operators, a promotion.

    With several failing rows it is the one of the sentence: the largest, and of equal ones the segment that the total
    hides. A gate that only holds ends nothing, however much it has seen.

    Parameters
    ----------
    plan : of the release.
    """
    if decision.state is not State.ROLLED_BACK or decision.verdict is not Verdict.FAIL:
        return None
    ending = {gate.label for gate in plan.gates if gate.on_fail == "rollback"}
    failed = [row for row in decision.evidence if row.metric in ending and row.verdict is Verdict.FAIL]
    if not failed:
        return None
    row: Evidence = max(failed, key=lambda one: one.log_evidence or 0.0)
    return DecidedBy(row.metric, row.segment, row.detector)


def final(decisions: list[Decision]) -> Decision | None:
    """The decision that ended the release, or None while it goes on."""
    return decisions[-1] if decisions and decisions[-1].state.final else None
