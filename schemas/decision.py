"""Decisions: the append-only audit on ``canary.decisions``, in which each record of a service names the one before."""

from __future__ import annotations

import enum
import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from schemas.decoding import decoded
from schemas.evidence import Evidence, Verdict
from schemas.hook import Hook
from schemas.plan import Plan
from schemas.rule import Rule
from schemas.units import encode_hook


class Action(enum.Enum):
    """What was done."""

    START = "start"
    ADVANCE = "advance"
    LOWER = "lower"
    STOP = "stop"
    HOLD = "hold"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    SET_WEIGHT = "set_weight"
    CONFIRM = "confirm"


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
    previous_weights_ppm: dict[str, int] = {}
    """What ``weights_ppm`` was before, of the release before when this is a start; empty when there was none."""
    plan_hash: str = ""
    """:func:`plan_hash` of the release's plan."""
    shadow_ppm: dict[str, int] = {}
    """While canaries get copies of requests: of which share."""
    awaits_ppm: int | None = None
    """Of a hold: the share that somebody has to confirm before the ramp goes on; None: it waits for something else."""
    previous_hash: str = ""
    """:func:`hash_of` the service's record before this one. Empty in records of before there were hashes."""
    baseline: str = ""
    canaries: tuple[str, ...] = ()
    """Who is compared with whom, whatever the weights; empty in records of before they were told."""
    stopped: tuple[str, ...] = ()
    """The canaries that the evidence has stopped in this release while others went on."""
    hooks: tuple[Hook, ...] = ()
    """Who was to be told of it: the plan's hooks for this action. ``serinus hooks`` does."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """A command that was understood and not carried out; it stands in the audit too."""

    service: str
    command_id: str
    at_ms: int
    actor: str
    reason: str
    command: str = ""
    asked: str = ""
    """What was asked, and the reason that was given for it."""
    previous_hash: str = ""
    """As in a decision; empty when the command could not be read, and so never reached the service."""


Record = Decision | Refusal

GENESIS = "0" * 64
"""What the first record of a service names."""

encode_record = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def decode_record(raw: bytes) -> Record:
    """Decode a record of ``canary.decisions``; raises :class:`msgspec.DecodeError`."""
    return decoded(_decoder.decode, raw)


def hash_of(raw: bytes) -> str:
    """SHA-256 of a record's bytes, as they stand on the topic.

    >>> hash_of(b"{}")[:8]
    '44136fa3'
    """
    return hashlib.sha256(raw).hexdigest()


@lru_cache(maxsize=256)
def plan_hash(plan: Plan) -> str:
    """SHA-256 of a plan as JSON with its keys in order: two files that say the same have the same.

    Fields that have their default are left out, so a version of Serinus that knows more fields says the same.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> plan_hash(parse_plan(EXAMPLE)) == plan_hash(parse_plan("# in other words" + EXAMPLE))
    True
    """
    return hash_of(msgspec.json.encode(_said(plan), enc_hook=encode_hook, order="deterministic"))


def _said(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_said(item) for item in value]
    if not isinstance(value, msgspec.Struct):
        return value
    config = value.__struct_config__
    said = {} if config.tag_field is None else {config.tag_field: config.tag}
    for field in msgspec.structs.fields(value):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if (found := getattr(value, field.name)) != default:
            said[field.encode_name] = _said(found)
    return said
