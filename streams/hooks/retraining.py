"""A decision as a pipeline needs it that trains a model again when it has become worse."""

from __future__ import annotations

from schemas.decision import Decision
from schemas.evidence import Verdict
from schemas.retraining import Retraining, encode_retraining


def retraining_body(decision: Decision, *, key: str, topic: str) -> bytes:
    """What was shown to be worse, by which gates, and where the requests lie.

    Parameters
    ----------
    decision : a hold or a rollback.
    key : of the delivery.
    topic : of events, as it is called on the broker.
    """
    failed = tuple(row for row in decision.evidence if row.role == "gate" and row.verdict is Verdict.FAIL)
    return encode_retraining(
        Retraining(
            key=key,
            service=decision.service,
            release_id=decision.release_id,
            epoch=decision.epoch,
            at_ms=decision.at_ms,
            action=decision.action,
            actor=decision.actor,
            reason=decision.reason,
            baseline=decision.baseline,
            canaries=decision.canaries,
            worse=tuple(dict.fromkeys(row.version for row in failed)),
            failed=failed,
            evidence=decision.evidence,
            topic=topic,
            through=decision.through,
            plan_hash=decision.plan_hash,
        )
    )
