"""The state machine of releases: one pure function.

::

    start ──▶ ramping ──PASS for the next share, hold over──▶ ramping … ──PASS for everybody──▶ promoted
                │  ▲
                │  └── PASS again ── holding ◀── silence, ERROR, no PASS for too long, closing time, a gate that holds
                │  pause / resume: paused
                │  FAIL of one canary of several: that one is stopped, the others go on
                └── FAIL, silence or waiting beyond the limits, rollback, in any of these ──▶ rolled_back

Only two things raise a canary's share: a PASS for at least that share, in the very input that opens it, from versions
that have all answered since the step began, within the plan's opening hours, confirmed where the plan asks for it; or
an operator. A tick never does.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from releases.commands import obey
from releases.confirmation import awaited_ppm
from releases.limits import breach, passing
from releases.lowering import Lowering
from releases.machine_io import Commanded, Fenced, Judged, MachineInput, Publish, Ticked
from releases.opening_hours import open_at, opening_text
from releases.release_state import Assessment, Release, ReleaseState
from releases.routing import renewal_due, route_of
from releases.transitions import (
    Move,
    Outcome,
    advanced,
    begun,
    held,
    lowered,
    promoted,
    resumed,
    rolled_back,
    settle,
    stopped,
    unconfirmed,
)
from releases.wording import names_text
from schemas.decision import State
from schemas.evidence import Verdict

HELD_MS_AT_LEAST = 10_000
"""A release that holds does so for this long: a verdict on the edge must not become a decision four times a second."""


def step(state: ReleaseState, input_: MachineInput, now_ms: int) -> Outcome:
    """Fold one input into the state of one service.

    Parameters
    ----------
    state : of the service; ``ReleaseState(service=…)`` to begin with.
    input_ : one whose ``seq`` is not above the state's has been applied before and changes nothing.
    now_ms : Unix ms, log time of the input. Going back is ignored: the state keeps the latest.

    Returns
    -------
    ``(state, effects)``. A decision comes with the route it causes, unless a canary would run unobserved
    (:func:`releases.routing.observed`). At most one decision for each input.

    >>> from schemas.command import Command, Verb
    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> start = Command("c1", "chat", Verb.START, "ann", "first try", 0, plan=parse_plan(EXAMPLE))
    >>> commanded = Commanded(seq=7, command=start)
    >>> state, (decide, publish) = step(ReleaseState(service="chat"), commanded, 1_700_000_000_000)
    >>> decide.decision.reason
    'Started v2 at 1 % beside v1, held for 2m at least, asked for by ann: first try.'
    >>> publish.route.weights_ppm, step(state, commanded, 1_700_000_000_000) == (state, ())
    ({'v1': 990000, 'v2': 10000}, True)
    """
    if _applied(state, input_):
        return state, ()
    seq = state.seq if isinstance(input_, Fenced) else input_.seq
    state = msgspec.structs.replace(state, seq=seq, now_ms=max(state.now_ms, now_ms))
    match input_:
        case Commanded(command=command):
            return obey(state, command)
        case Judged():
            return _judged(state, input_)
        case Ticked():
            return _waited(state) or _begun(state) or _renewed(state)
        case Fenced():
            return _fenced(state, input_)
        case _:
            assert_never(input_)


def _applied(state: ReleaseState, input_: MachineInput) -> bool:
    if isinstance(input_, Fenced):
        return input_.epoch <= state.epoch
    return input_.seq <= state.seq


def _judged(state: ReleaseState, judged: Judged) -> Outcome:
    release = state.release
    if release is None or not release.active:
        return _renewed(state)
    release = _absorbed(release, judged, now_ms=state.now_ms)
    state = msgspec.structs.replace(state, release=release)
    if judged.verdict is Verdict.FAIL and judged.fail_action == "rollback":
        return _failed(state, release, judged)
    moved = _waited(state) or _begun(state) or _lowered(state, judged.lowering) or _opened(state, release)
    return moved or _renewed(state)


def _absorbed(release: Release, judged: Judged, *, now_ms: int) -> Release:
    counts = judged.canary_requests | {release.plan.baseline: judged.baseline_requests}
    unknown = judged.verdict in {Verdict.NO_DATA, Verdict.ERROR}
    since_ms = release.unknown_since_ms
    return msgspec.structs.replace(
        release,
        judged_ms=now_ms,
        seen_ms={v: now_ms if counts.get(v, 0) > 0 else seen_ms for v, seen_ms in release.seen_ms.items()},
        unknown_since_ms=(now_ms if since_ms is None else since_ms) if unknown else None,
        assessment=Assessment(
            verdict=judged.verdict,
            for_share_ppm=judged.for_share_ppm,
            reason=judged.reason,
            evidence=judged.evidence,
            through=judged.through,
        ),
    )


def _failed(state: ReleaseState, release: Release, judged: Judged) -> Outcome:
    """Each canary is judged on its own: one that is worse is stopped, and the last of them ends the release."""
    failed = tuple(version for version in release.running if version in judged.failed)
    if not failed or len(failed) == len(release.running):
        return settle(state, rolled_back(release, judged.reason))
    state, effects = settle(state, stopped(release, failed, judged.reason))
    assert state.release is not None
    # What was said is of those that were stopped; of the others the judge speaks next, and until then nothing is known.
    reason = f"{names_text(failed)} {'was' if len(failed) == 1 else 'were'} stopped just now"
    unknown = Assessment(Verdict.INCONCLUSIVE, reason=reason, through=judged.through)
    release = msgspec.structs.replace(state.release, assessment=unknown)
    return msgspec.structs.replace(state, release=release), effects


def _waited(state: ReleaseState) -> Outcome | None:
    """What limits and failing gates ask for, or None."""
    release = state.release
    if release is None or not release.active:
        return None
    found = breach(release, now_ms=state.now_ms)
    if found is not None and found.action == "rollback":
        return settle(state, rolled_back(release, found.reason, verdict=found.verdict))
    if release.state is not State.RAMPING:
        return None
    if release.assessment.verdict is Verdict.FAIL:
        # One that rolls back has done so where it came in: this is of a gate with `action: hold`.
        return settle(state, held(release, release.assessment.reason))
    return settle(state, held(release, found.reason, verdict=found.verdict)) if found is not None else None


def _begun(state: ReleaseState) -> Outcome | None:
    """The start that an operator has scheduled, when its time has come."""
    release = state.release
    if release is None or not release.active or release.scheduled is None or state.now_ms < release.scheduled.at_ms:
        return None
    return settle(state, begun(release, release.scheduled, now_ms=state.now_ms))


def _lowered(state: ReleaseState, lowering: Lowering | None) -> Outcome | None:
    """The share that an adaptive ramp gives back. A paused release keeps what its operator wants."""
    release = state.release
    if lowering is None or release is None or release.state not in {State.RAMPING, State.HOLDING}:
        return None
    if lowering.to_ppm >= max(release.canary_weights_ppm.values()):
        return None
    return settle(state, lowered(release, lowering))


def _opened(state: ReleaseState, release: Release) -> Outcome | None:
    """What a PASS opens. Called for evidence alone, right after it came in."""
    now_ms, why = state.now_ms, release.assessment.reason
    shown = release.canary_share_ppm or release.shadowing
    if release.state is State.PAUSED or not shown or not passing(release):
        # What an operator has set to 0 % has no evidence of its own any more and stays there.
        return None
    since_ms = release.step_since_ms if release.held_since_ms is None else release.held_since_ms
    if any(release.seen_ms[version] <= since_ms for version in (*release.running, release.plan.baseline)):
        # A PASS of evidence that is all from before says nothing of a version that has fallen silent.
        return None
    waits = _waits(release, now_ms=now_ms)
    if release.held_since_ms is not None:
        if breach(release, now_ms=now_ms) is not None or now_ms - release.held_since_ms < HELD_MS_AT_LEAST:
            return None
        # Who held for another reason ramps again first, and then asks for the yes that is missing.
        goes_on = waits is None or (waits.release.awaits_ppm is not None and release.awaits_ppm is None)
        return settle(state, resumed(release, why, now_ms=now_ms)) if goes_on else None
    if now_ms - release.step_since_ms < release.hold_ms:
        return None
    if waits is not None:
        return settle(state, waits)
    if release.opened < len(release.stages) or release.next_group != release.group:
        return settle(state, advanced(release, why))
    # All canaries have passed; there is one place: the plan's order decides.
    return settle(state, promoted(release, release.running[0], why))


def _waits(release: Release, *, now_ms: int) -> Move | None:
    """What a step waits for that evidence does not bring: the opening hours, or somebody's yes."""
    ramp, why = release.plan.ramp, release.assessment.reason
    if not open_at(ramp.windows, now_ms, ramp.holidays):
        opens = opening_text(ramp.windows, now_ms, ramp.holidays)
        return held(release, f"waits for the window that opens at {opens}; {why}")
    awaited = awaited_ppm(release)
    return unconfirmed(release, awaited, why) if awaited is not None else None


def _renewed(state: ReleaseState) -> Outcome:
    """The route in force once more, when it is time and nobody has published a newer one than we know of."""
    release = state.release
    if release is None or release.epoch != state.epoch or not renewal_due(release, now_ms=state.now_ms):
        return state, ()
    release = msgspec.structs.replace(release, published_ms=state.now_ms)
    return msgspec.structs.replace(state, release=release), (Publish(route_of(release, now_ms=state.now_ms)),)


def _fenced(state: ReleaseState, fenced: Fenced) -> Outcome:
    """Somebody has decided what we know nothing of: nothing of ours that has traffic goes on.

    Our own release is rolled back above that epoch. Of another release we know neither baseline nor versions: ours
    ends without a route, and the routers' leases lead to the fallback of the newer one.
    """
    known = state.epoch
    state = msgspec.structs.replace(state, epoch=fenced.epoch)
    release = state.release
    if release is None or not release.active:
        return state, ()
    found = f"the control topic carries epoch {fenced.epoch} of {fenced.release_id}, this worker knew epoch {known}"
    state, effects = settle(state, rolled_back(release, f"{found}; what was decided in between is unknown"))
    if fenced.release_id == release.id:
        return state, effects
    # An epoch above the release's own: its route is never renewed, see `_renewed`.
    state = msgspec.structs.replace(state, epoch=state.epoch + 1)
    return state, tuple(effect for effect in effects if not isinstance(effect, Publish))
