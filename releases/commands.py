"""What operators may ask, in which state, and what comes of it."""

from __future__ import annotations

from typing import assert_never

import msgspec

from releases.confirmation import awaited_ppm
from releases.machine_io import Effect, Refuse
from releases.release_id import release_id, salt_of
from releases.release_state import COMMAND_IDS_KEPT, Release, ReleaseState, Scheduled
from releases.routing import weights_of
from releases.shadowing import first_step, shown_text
from releases.transitions import (
    Move,
    Outcome,
    aborted,
    begun,
    confirmed,
    promoted,
    resumed,
    rolled_back,
    scheduled,
    settle,
    started,
)
from releases.wording import group_text, names_text, share_text, weights_text
from schemas.command import Command, Verb, check_command
from schemas.decision import Action, Refusal, State, encode_record, hash_of
from schemas.evidence import Verdict
from schemas.file_errors import RuleError
from schemas.plan import Plan
from schemas.units import PPM

NOT_WHILE_SCHEDULED = frozenset({Verb.PAUSE, Verb.PROMOTE, Verb.SET_WEIGHT, Verb.CONFIRM})


def obey(state: ReleaseState, command: Command) -> Outcome:
    """Carry a command out or refuse it with a sentence; one whose id is known changes nothing."""
    if command.id in state.command_ids:
        return state, ()
    ids = (*state.command_ids, command.id)[-COMMAND_IDS_KEPT:]
    state = msgspec.structs.replace(state, command_ids=ids)
    if fault := _fault(state, command):
        return _refused(state, command, fault)
    replaced: tuple[Effect, ...] = ()
    if command.replace and state.release is not None and state.release.active:
        # The abort is a decision of its own and no answer: who asked waits for the start.
        ended = aborted(state.release)
        reason = f"{ended.reason}, replaced by a new release, asked for by {command.actor}: {command.reason.strip()}"
        state, replaced = settle(state, msgspec.structs.replace(ended, reason=reason, actor=command.actor))
    move = _start(state, command) if command.command is Verb.START else _steer(state, command)
    if isinstance(move, str):
        return _refused(state, command, move)
    reason = f"{move.reason}, asked for by {command.actor}: {command.reason.strip()}"
    move = msgspec.structs.replace(move, reason=reason, actor=command.actor, command_id=command.id)
    if move.action is Action.START:
        state = msgspec.structs.replace(state, started=state.started + 1)
    state, effects = settle(state, move)
    return state, (*replaced, *effects)


def _refused(state: ReleaseState, command: Command, why: str) -> Outcome:
    refusal = Refusal(
        service=state.service,
        command_id=command.id,
        at_ms=state.now_ms,
        actor=command.actor,
        reason=why,
        command=command.command.value,
        asked=command.reason.strip(),
        previous_hash=state.audit_hash,
    )
    return msgspec.structs.replace(state, audit_hash=hash_of(encode_record(refusal))), (Refuse(refusal),)


def _fault(state: ReleaseState, command: Command) -> str | None:
    if command.service != state.service:
        return f"the command is for {command.service!r} and this is {state.service!r}"
    try:
        check_command(command)
    except RuleError as error:
        return f"{error.path.removeprefix('$.')}: {error.what}"
    if command.expected_epoch not in {None, state.epoch}:
        return (
            f"expected_epoch: found {command.expected_epoch}, and epoch {state.epoch} is the newest: "
            "something was decided meanwhile; look again"
        )
    return None


def _start(state: ReleaseState, command: Command) -> Move | str:
    release = state.release
    if release is not None and release.active:
        return f"release {release.id} is {release.state.value}; end it first: promote, rollback or abort, or replace it"
    plan = command.plan
    if plan is None:
        return "plan: missing; a start command carries a plan"
    release = new_release(plan, number=state.started + 1, now_ms=state.now_ms)
    at_ms = plan.ramp.start
    if at_ms is None or at_ms <= state.now_ms:
        return started(release)
    return scheduled(release, Scheduled(int(at_ms), command.actor, command.id))


def new_release(plan: Plan, *, number: int, now_ms: int) -> Release:
    """A release at its first step."""
    name = release_id(plan.service, started_ms=now_ms, number=number)
    release = Release(
        id=name,
        plan=plan,
        salt=salt_of(name, plan.together),
        state=State.RAMPING,
        epoch=0,
        weights_ppm=weights_of(plan, {}),
        opened=0,
        started_ms=now_ms,
        step_since_ms=now_ms,
        resumed_ms=now_ms,
        judged_ms=now_ms,
        published_ms=now_ms,
        seen_ms=dict.fromkeys((plan.baseline, *plan.canaries), now_ms),
    )
    return first_step(release)


def _steer(state: ReleaseState, command: Command) -> Move | str:
    """Everything but a start: it needs a release that is there and, with one exception, active."""
    release = state.release
    if release is None:
        return f"no release of {state.service} has been started"
    # What was promoted can still turn out to be bad, and then nobody should have to write a plan first.
    undone = command.command is Verb.ROLLBACK and release.state is State.PROMOTED
    if not release.active and not undone:
        return f"release {release.id} is {release.state.value}, which is final; start a new one"
    return _move(release, command, now_ms=state.now_ms)


def _move(release: Release, command: Command, *, now_ms: int) -> Move | str:
    if release.scheduled is not None and command.command in NOT_WHILE_SCHEDULED:
        return f"release {release.id} is scheduled and nobody has its canaries; resume starts it now, abort ends it"
    match command.command:
        case Verb.START:
            return f"release {release.id} is {release.state.value}"
        case Verb.PAUSE:
            return _pause(release)
        case Verb.RESUME:
            return _resume(release, now_ms=now_ms)
        case Verb.PROMOTE:
            return _promote(release, command.version, skip_evidence=command.skip_evidence)
        case Verb.ROLLBACK | Verb.ABORT:
            return rolled_back(release) if command.command is Verb.ROLLBACK else aborted(release)
        case Verb.SET_WEIGHT:
            return _set_weight(release, command)
        case Verb.CONFIRM:
            return _confirm(release)
        case _:
            assert_never(command.command)


def _pause(release: Release) -> Move | str:
    if release.state is State.PAUSED:
        return f"release {release.id} is paused already"
    after = msgspec.structs.replace(release, state=State.PAUSED)
    return Move(after, Action.PAUSE, f"Paused with {shown_text(release)}")


def _resume(release: Release, *, now_ms: int) -> Move | str:
    if release.scheduled is not None:
        return begun(release, release.scheduled, now_ms=now_ms)
    if release.state is State.RAMPING:
        return f"release {release.id} is ramping already"
    said = release.assessment
    if release.state is State.HOLDING and said.verdict in {Verdict.FAIL, Verdict.ERROR}:
        return (
            f"release {release.id} is holding because of {said.verdict.value}, which it would do again: {said.reason}"
        )
    return resumed(release, now_ms=now_ms)


def _promote(release: Release, version: str | None, *, skip_evidence: bool) -> Move | str:
    chosen = version or release.running[0]
    if chosen not in release.plan.canaries:
        return f"version: found {chosen!r}; allowed are the canaries {names_text(release.plan.canaries)}"
    if chosen in release.stopped:
        return _stopped_text(chosen)
    said = release.assessment
    shown = said.verdict is Verdict.PASS and said.for_share_ppm >= PPM and chosen in release.running
    if not shown and not skip_evidence:
        of = f" for {share_text(said.for_share_ppm)}" if said.verdict is Verdict.PASS else ""
        return (
            f"the evidence does not say that {chosen} is good enough for everybody, it says {said.verdict.value}{of}: "
            f"{said.reason}; skip_evidence promotes it all the same"
        )
    return promoted(release, chosen)


def _confirm(release: Release) -> Move | str:
    awaited = awaited_ppm(release)
    if awaited is None:
        return f"nothing waits for a yes: the next step of release {release.id} needs none, or has it"
    return confirmed(release, awaited)


def _set_weight(release: Release, command: Command) -> Move | str:
    version, weight_ppm = command.version, command.weight_ppm
    if version not in release.plan.canaries or weight_ppm is None:
        return f"version: found {version!r}; allowed are the canaries {names_text(release.plan.canaries)}"
    if version in release.stopped:
        return _stopped_text(version)
    if release.joined and version not in release.joined:
        return f"{version} was stopped and the user groups that came first do not meet it any more; start a new release"
    before = release.canary_weights_ppm
    weights = before | {version: weight_ppm}
    if weights == before:
        return f"{version} is at {share_text(weight_ppm)} already"
    if sum(weights.values()) >= PPM:
        most = share_text(PPM - sum(before.values()) + before[version])
        return (
            f"weight_ppm: found {share_text(weight_ppm)}; allowed is less than {most}, or {release.plan.baseline} "
            f"would have no traffic to compare with; promote gives {version} everything"
        )
    # The ramp goes on from the first stage above the canary that is furthest.
    opened = release.opened_at(max(weights.values()))
    # The groups before go on with the canaries that go on here; with all at 0 they keep those that were left.
    joined = tuple(version for version in release.joined if weights[version]) or release.joined
    shares = weights_of(release.plan, weights)
    after = msgspec.structs.replace(release, weights_ppm=shares, opened=opened, joined=joined)
    where = group_text(release.plan, release.group)
    reason = f"Set {weights_text({version: weight_ppm})}{where}, before at {share_text(before[version])}"
    return Move(after, Action.SET_WEIGHT, reason)


def _stopped_text(version: str) -> str:
    return f"{version} was found worse and stopped, for good in this release; start a new one"
