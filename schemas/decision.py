"""Decisions: the append-only audit on ``canary.decisions``."""

from __future__ import annotations

import enum

import msgspec

from schemas.decoding import decoded
from schemas.evidence import Evidence, Verdict
from schemas.rule import Rule


class Action(enum.Enum):
    """What was done."""

    START = "start"
    ADVANCE = "advance"
    HOLD = "hold"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    SET_WEIGHT = "set_weight"


class State(enum.Enum):
    """Where a release stands."""

    SCHEDULED = "scheduled"
    RAMPING = "ramping"
    HOLDING = "holding"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def final(self) -> bool:
        return self in {State.PROMOTED, State.ROLLED_BACK, State.ABORTED}


class Decision(msgspec.Struct, frozen=True, tag="decision", tag_field="type"):
    """One decision, with everything needed to understand it and to replay it."""

    service: str
    release_id: str
    epoch: int
    at_ms: int
    action: Action
    state: State
    verdict: Verdict
    weights_ppm: dict[str, int]
    actor: str
    reason: str
    through: dict[str, int] = {}
    """Per partition of the source topic: the last offset that the evidence contains."""
    evidence: tuple[Evidence, ...] = ()
    command_id: str | None = None
    rules: tuple[Rule, ...] = ()
    """While the release opens by user group: who gets which share instead of ``weights_ppm``."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """A command that was understood and not carried out; it stands in the audit too."""

    service: str
    command_id: str
    at_ms: int
    actor: str
    reason: str


Record = Decision | Refusal

encode_record = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def decode_record(raw: bytes) -> Record:
    """Decode a record of ``canary.decisions``; raises :class:`msgspec.DecodeError`."""
    return decoded(_decoder.decode, raw)
