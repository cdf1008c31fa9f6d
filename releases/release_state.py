"""The state of one service's releases: all that the machine knows, frozen, and saved with msgspec."""

from __future__ import annotations

import msgspec

from releases.ramps.adaptive import within_reach
from releases.ramps.ramp import stages_of
from releases.ramps.stage import Stage
from schemas.decision import GENESIS, State
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.rule import Rule
from schemas.units import PPM, decode_hook, encode_hook

COMMAND_IDS_KEPT = 1_024
"""A command that is sent again within this many commands is known; ids are for retries, not for archives.

Ten operators with scripts make hundreds in a minute, and a producer may bring its last ones again after an outage. A
service of whose releases a dozen commands were given keeps a dozen.
"""


class Assessment(msgspec.Struct, frozen=True):
    """What the judge said last. Without a reason it has not been put into words yet (:mod:`releases.telling`)."""

    verdict: Verdict = Verdict.NO_DATA
    for_share_ppm: int = 0
    reason: str = "no evidence yet"
    evidence: tuple[Evidence, ...] = ()
    through: dict[str, int] = {}


class Scheduled(msgspec.Struct, frozen=True):
    """When a release begins, Unix ms of log time, and the command that asked for it."""

    at_ms: int
    actor: str
    command_id: str


class Release(msgspec.Struct, frozen=True):
    """One release of one service, from its start to its end and beyond (its last route stays in force).

    Parameters
    ----------
    epoch : of its last decision.
    weights_ppm : version → share, zeros left out; always adds up to 1,000,000.
    opened : how many stages of the ramp are open; all of them = promotion comes next.
    step_since_ms : when the weights last changed.
    resumed_ms : when it last began or was resumed; waiting for data or for a verdict counts from here at the earliest.
    held_since_ms : when it went into ``holding``; None in other states.
    seen_ms : version → when it last answered a request or, if it has not yet, when it was opened.
    unknown_since_ms : since when the judge has been saying NO_DATA or ERROR without a break.
    judged_ms : when the judge last said anything; the start counts.
    published_ms : when its route was last sent.
    scheduled : while it waits for its start.
    confirmed_ppm, confirmed_group : the share up to which somebody has said yes, and the user group that it was for.
    shadowing : canaries get copies of requests, and no share of them yet.
    awaits_ppm : while it holds for somebody's yes and for nothing else: to which share.
    group : which user group is taking the ramp's steps; ``weights_ppm`` and ``opened`` are that group's.
    joined : when it is not the first, the canaries that the groups before it meet.
    stopped : the canaries that the evidence has stopped while the others went on. They get nothing any more.
    """

    id: str
    plan: Plan
    salt: str
    state: State
    epoch: int
    weights_ppm: dict[str, int]
    opened: int
    started_ms: int
    step_since_ms: int
    resumed_ms: int
    judged_ms: int
    published_ms: int
    seen_ms: dict[str, int]
    held_since_ms: int | None = None
    unknown_since_ms: int | None = None
    assessment: Assessment = Assessment()
    promoted: str | None = None
    group: int = 0
    scheduled: Scheduled | None = None
    confirmed_ppm: int = 0
    confirmed_group: int = 0
    awaits_ppm: int | None = None
    shadowing: bool = False
    joined: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return not self.state.final

    @property
    def stages(self) -> tuple[Stage, ...]:
        return stages_of(self.plan.ramp)

    @property
    def hold_ms(self) -> int:
        """How long the present step is held at least."""
        if self.shadowing and self.plan.ramp.shadow is not None:
            return self.plan.ramp.shadow.hold
        return self.stages[max(0, self.opened - 1)].hold_ms

    @property
    def canary_weights_ppm(self) -> dict[str, int]:
        """The share of each canary in the plan's order, zeros included."""
        return {version: self.weights_ppm.get(version, 0) for version in self.plan.canaries}

    @property
    def running_weights_ppm(self) -> dict[str, int]:
        """The share of each canary that the ramp moves."""
        return {version: self.weights_ppm.get(version, 0) for version in self.running}

    @property
    def canary_share_ppm(self) -> int:
        """The share of all canaries together."""
        return sum(self.canary_weights_ppm.values())

    @property
    def shadow_ppm(self) -> dict[str, int]:
        """Of which share of the requests each canary gets copies; empty when it gets none."""
        shadow = self.plan.ramp.shadow if self.shadowing else None
        return dict.fromkeys(self.running, int(shadow.weight)) if shadow is not None else {}

    @property
    def canaries_served(self) -> bool:
        """Whether anybody may meet a canary: who takes the ramp's steps now, or a user group that has taken them."""
        return bool(self.canary_share_ppm or self.group)

    def opened_at(self, weight_ppm: int) -> int:
        """How many stages of the ramp are open when the canary that is furthest has this share."""
        return sum(stage.weight_ppm <= weight_ppm for stage in self.stages)

    def reach(self, ramp: Adaptive) -> tuple[Stage, ...]:
        """The rungs of its own ramp that may be next, ascending; none at the top."""
        present_ppm = max(self.canary_weights_ppm.values())
        return within_reach(ramp, opened=self.opened, present_ppm=present_ppm, canaries=len(self.running))

    @property
    def next_share_ppm(self) -> int:
        """The share of all canaries together after the next step; the whole when promotion comes next.

        An adaptive ramp may open more at once: this is the least.
        """
        return min(PPM, self.next_weight_ppm * len(self.running))

    @property
    def next_weight_ppm(self) -> int:
        """The share of each canary after the next step, the least of it on an adaptive ramp."""
        if self.opened < len(self.stages):
            return self.stages[self.opened].weight_ppm
        return PPM if self.next_group == self.group else self.stages[0].weight_ppm

    @property
    def next_group(self) -> int:
        """The user group whose share the next step raises; the present one when promotion comes next."""
        joins = self.opened >= len(self.stages) and self.group + 1 < len(self.plan.ramp.segments)
        return self.group + joins

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The weights of the user groups that are open before everyone is, in the plan's order."""
        groups = self.plan.ramp.segments if self.active else ()
        met = [version for version in self.running if version in (self.joined or self.plan.canaries)]
        done = dict.fromkeys(met, self.stages[-1].weight_ppm)
        weights = [done] * self.group + [self.canary_weights_ppm]
        return tuple(Rule(group, weight) for group, weight in zip(groups[:-1], weights, strict=False))

    @property
    def everyone_ppm(self) -> dict[str, int]:
        """The weights of those whom no rule names, zeros left out."""
        last = len(self.plan.ramp.segments) - 1
        return self.weights_ppm if not self.active or self.group >= last else {self.plan.baseline: PPM}

    @property
    def running(self) -> tuple[str, ...]:
        """The canaries that the ramp moves: those with traffic. When none has any, those that the groups before still
        meet, and in the first group all but those that were stopped.

        One of several canaries that an operator has set to 0 % stays out: the ramp does not bring it back.
        """
        weights = self.canary_weights_ppm
        served = tuple(version for version in weights if weights[version])
        return served or tuple(version for version in self.joined or weights if version not in self.stopped)


class ReleaseState(msgspec.Struct, frozen=True):
    """One service. It outlives its releases, so that epochs grow over all of them.

    >>> state = ReleaseState(service="chat")
    >>> decode_state(encode_state(state)) == state
    True
    """

    service: str
    epoch: int = 0
    seq: int = -1
    now_ms: int = 0
    started: int = 0
    release: Release | None = None
    command_ids: tuple[str, ...] = ()
    audit_hash: str = GENESIS
    """Of the newest record of the audit: the next one names it."""


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_hook)
_decoder = msgspec.msgpack.Decoder(ReleaseState, dec_hook=decode_hook)


def encode_state(state: ReleaseState) -> bytes:
    """The state as msgpack."""
    return _encoder.encode(state)


def decode_state(raw: bytes) -> ReleaseState:
    """The inverse of :func:`encode_state`; raises :class:`msgspec.DecodeError`."""
    return _decoder.decode(raw)
