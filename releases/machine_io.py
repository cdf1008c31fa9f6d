"""What goes into the state machine and what comes out: two closed sets."""

from __future__ import annotations

from typing import Literal

import msgspec

from releases.lowering import Lowering
from schemas.command import Command
from schemas.decision import Decision, Refusal
from schemas.evidence import Evidence, Verdict
from schemas.route import Route


class Judged(msgspec.Struct, frozen=True, tag="judged", tag_field="type"):
    """What the judge says now, of all canaries together. Evidence is the only automatic key to more traffic.

    Parameters
    ----------
    seq : offset of the input record that caused it. One record gives the machine one input: several beats that one
        record closes are judged together and their counts added up.
    verdict : the worst over all gates and canaries. PASS speaks of ``for_share_ppm`` only.
    for_share_ppm : the share, all canaries together, up to which harm beyond the plan's margin is excluded.
        1,000,000 = for everybody, which is what promotion needs.
    reason : one sentence with the numbers, without what was done about it; the machine adds that. Empty: to be told
        when a decision asks for it (:mod:`releases.telling`).
    canary_requests : per canary, the requests that are new in this input. A version left out counts 0.
    baseline_requests : new requests of the baseline.
    evidence, through : go into the next decision as they are.
    lowering : where an adaptive ramp is to go down to; None as long as its budget has room.
    fail_action : what a FAIL asks for. ``hold`` when only gates with ``action: hold`` fail.
    failed : the canaries that a FAIL is about; empty: all.
    """

    seq: int
    verdict: Verdict
    for_share_ppm: int
    reason: str
    canary_requests: dict[str, int] = {}
    baseline_requests: int = 0
    evidence: tuple[Evidence, ...] = ()
    through: dict[str, int] = {}
    fail_action: Literal["rollback", "hold"] = "rollback"
    lowering: Lowering | None = None
    failed: tuple[str, ...] = ()


class Commanded(msgspec.Struct, frozen=True, tag="commanded", tag_field="type"):
    """An operator's command, with the offset of the input record that carried it."""

    seq: int
    command: Command


class Ticked(msgspec.Struct, frozen=True, tag="ticked", tag_field="type"):
    """Time has passed and nothing else. A tick can hold and roll back; it never opens traffic."""

    seq: int


class Fenced(msgspec.Struct, frozen=True, tag="fenced", tag_field="type"):
    """At take-over, *after* folding all inputs there are, a route newer than ours stands on the control topic.

    It comes from a topic that is not the input, so it has no ``seq``; an epoch that is not above ours changes nothing.
    """

    epoch: int
    release_id: str


MachineInput = Judged | Commanded | Ticked | Fenced


class Decide(msgspec.Struct, frozen=True, tag="decide", tag_field="type"):
    """Append this to the audit."""

    decision: Decision


class Publish(msgspec.Struct, frozen=True, tag="publish", tag_field="type"):
    """Send this to the routers."""

    route: Route


class Refuse(msgspec.Struct, frozen=True, tag="refuse", tag_field="type"):
    """Append this to the audit: a command that was not carried out."""

    refusal: Refusal


Effect = Decide | Publish | Refuse
