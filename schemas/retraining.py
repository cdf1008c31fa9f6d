"""What a hook of the format ``retrain`` is given: why a version was judged worse, and where its requests lie."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.decision import Action
from schemas.evidence import Evidence


class Retraining(msgspec.Struct, frozen=True):
    """The evidence for a pipeline that trains a model again.

    Parameters
    ----------
    action : hold or rollback.
    key : the same for every repetition; train once for each.
    worse : the versions that a gate has shown to be worse. Empty when none has: an operator or a limit decided.
    failed : the gates that have shown it, the most telling segment before the total.
    evidence : all that was known when it was decided, observers too.
    topic, through : where the requests lie that the evidence was made of: the topic of events, and for each partition
        the last offset that counts. The release's start is where they begin.
    """

    key: str
    service: str
    release_id: str
    epoch: int
    at_ms: int
    action: Action
    actor: str
    reason: str
    baseline: str
    canaries: tuple[str, ...]
    worse: tuple[str, ...]
    failed: tuple[Evidence, ...]
    evidence: tuple[Evidence, ...]
    topic: str
    through: dict[str, int]
    plan_hash: str
    type: Literal["retrain"] = "retrain"


encode_retraining = msgspec.json.Encoder().encode
