"""The only place where a decision is made final: it gets its epoch, its record and its route."""

from __future__ import annotations

from typing import Any

import msgspec

from releases.confirmation import below_ppm
from releases.hooks import told
from releases.lowering import Lowering
from releases.machine_io import Decide, Effect, Publish
from releases.release_state import Release, ReleaseState, Scheduled
from releases.routing import observed, route_of, weights_of
from releases.shadowing import first_step, shown_text
from releases.wording import duration_text, group_text, names_text, sentence, share_text, weights_text
from schemas.decision import Action, Decision, State, encode_record, hash_of, plan_hash
from schemas.evidence import Verdict
from schemas.ramp import Adaptive
from schemas.units import PPM, Moment

ACTOR = "serinus"
"""Who decided, where no operator did."""

Outcome = tuple[ReleaseState, tuple[Effect, ...]]


class Move(msgspec.Struct, frozen=True):
    """A decision that has no epoch yet: the release as it is to stand afterwards, and why."""

    release: Release
    action: Action
    reason: str
    actor: str = ACTOR
    command_id: str | None = None
    verdict: Verdict | None = None
    """None: what the judge said last."""


def settle(state: ReleaseState, move: Move) -> Outcome:
    """Carry out a move: the next epoch, the decision, and the route unless the canary is unobserved.

    Every decision has an epoch of its own, also one that leaves the weights alone: auditors tell decisions apart by
    ``(release_id, epoch)``, and the route says the state.
    """
    now_ms, epoch = state.now_ms, state.epoch + 1
    release = _restart_clocks(state.release, move.release, now_ms)
    release = msgspec.structs.replace(release, epoch=epoch)
    reason = sentence(move.reason)
    published = observed(release, now_ms=now_ms)
    if published:
        release = msgspec.structs.replace(release, published_ms=now_ms)
    else:
        silent = duration_text(now_ms - release.judged_ms)
        reason += f" Not sent to the routers, which fall back to {release.plan.baseline}: no report for {silent}."
    decision = Decision(
        service=state.service,
        release_id=release.id,
        epoch=epoch,
        at_ms=now_ms,
        action=move.action,
        state=release.state,
        verdict=move.verdict or release.assessment.verdict,
        weights_ppm=release.everyone_ppm,
        actor=move.actor,
        reason=reason,
        through=release.assessment.through,
        evidence=release.assessment.evidence,
        command_id=move.command_id,
        rules=release.rules,
        previous_weights_ppm={} if state.release is None else state.release.everyone_ppm,
        plan_hash=plan_hash(release.plan),
        shadow_ppm=release.shadow_ppm,
        awaits_ppm=release.awaits_ppm,
        previous_hash=state.audit_hash,
        baseline=release.plan.baseline,
        canaries=release.plan.canaries,
        stopped=release.stopped,
        hooks=told(release.plan, move.action),
    )
    state = msgspec.structs.replace(state, epoch=epoch, release=release, audit_hash=hash_of(encode_record(decision)))
    if not published:
        return state, (Decide(decision),)
    return state, (Decide(decision), Publish(route_of(release, now_ms=now_ms)))


def _restart_clocks(before: Release | None, after: Release, now_ms: int) -> Release:
    """A step begins when weights change; waiting for a version begins when it is opened."""
    if before is None or before.id != after.id:
        return after
    held_since_ms = after.held_since_ms
    if after.state is not State.HOLDING:
        held_since_ms = None
    elif before.state is not State.HOLDING:
        held_since_ms = now_ms
    changes: dict[str, Any] = {"held_since_ms": held_since_ms}
    if after.state is not State.HOLDING:
        changes["awaits_ppm"] = None
    if after.shadowing and (after.canary_share_ppm or not after.active):
        changes["shadowing"] = False
    if _shown(after) != _shown(before):
        opened = {v: now_ms for v in after.weights_ppm if v not in before.weights_ppm}
        changes |= {"step_since_ms": now_ms, "seen_ms": after.seen_ms | opened}
    return msgspec.structs.replace(after, **changes)


def _shown(release: Release) -> tuple[object, ...]:
    """What a step consists of: when it changes, another one has begun."""
    return release.weights_ppm, release.group, release.shadowing


def started(release: Release) -> Move:
    """The first step of the ramp is open."""
    held_for = duration_text(release.hold_ms)
    where = group_text(release.plan, release.group)
    reason = f"Started {shown_text(release)}{where} beside {release.plan.baseline}, held for {held_for} at least"
    return Move(release, Action.START, reason)


def scheduled(release: Release, order: Scheduled) -> Move:
    """The release waits on the baseline until its first step is opened.

    Parameters
    ----------
    release : at its first step.
    """
    first = shown_text(release)
    changes = {
        "state": State.SCHEDULED,
        "weights_ppm": weights_of(release.plan, {}),
        "opened": 0,
        "scheduled": order,
        "shadowing": False,
    }
    after = msgspec.structs.replace(release, **changes)
    baseline = release.plan.baseline
    return Move(after, Action.START, f"Scheduled {first} beside {baseline} for {Moment(order.at_ms).shown()}")


def begun(release: Release, order: Scheduled, *, now_ms: int) -> Move:
    """What was scheduled starts: the same command opens the first step now."""
    changes = {"state": State.RAMPING, "started_ms": now_ms, "resumed_ms": now_ms, "scheduled": None}
    move = started(first_step(msgspec.structs.replace(release, **changes)))
    reason = f"{move.reason}, as {order.actor} had scheduled it"
    return msgspec.structs.replace(move, reason=reason, actor=order.actor, command_id=order.command_id)


def rolled_back(release: Release, why: str | None = None, *, verdict: Verdict | None = None) -> Move:
    """All traffic back to the baseline, for good."""
    where = group_text(release.plan, release.group) if release.active else ""
    reason = f"Rolled back {_left_text(release)}{where}{_because(why)}"
    return Move(_ended(release, State.ROLLED_BACK), Action.ROLLBACK, reason, verdict=verdict)


def stopped(release: Release, versions: tuple[str, ...], why: str) -> Move:
    """Nothing more to some of the canaries, for good; the ramp goes on with the others, in whatever state it is."""
    before = release.canary_weights_ppm
    weights = before | dict.fromkeys(versions, 0)
    names = tuple(version for version in release.plan.canaries if version in {*release.stopped, *versions})
    # The one that was furthest may be gone: the ramp goes on from where the others are.
    opened = release.opened_at(max(weights.values()))
    shares = weights_of(release.plan, weights)
    after = msgspec.structs.replace(release, weights_ppm=shares, stopped=names, opened=opened)
    left = names_text(versions)
    if release.canary_share_ppm:
        left = weights_text({version: before[version] for version in versions}, word="from")
    goes_on = f"{names_text(after.running)} {'goes' if len(after.running) == 1 else 'go'} on"
    return Move(after, Action.STOP, f"Stopped {left}, {goes_on}{_because(why)}")


def aborted(release: Release) -> Move:
    """All traffic back to the baseline because somebody wants the release to end, not because it is bad."""
    reason = f"Aborted {_left_text(release)}"
    return Move(_ended(release, State.ABORTED), Action.ABORT, reason)


def held(release: Release, why: str, *, verdict: Verdict | None = None) -> Move:
    """The ramp stands still until the evidence is good again; weights stay."""
    after = msgspec.structs.replace(release, state=State.HOLDING)
    where = group_text(release.plan, release.group)
    reason = f"Holding {shown_text(release)}{where}{_because(why)}"
    return Move(after, Action.HOLD, reason, verdict=verdict)


def unconfirmed(release: Release, awaited_ppm: int, why: str) -> Move:
    """The evidence is good, and the next step needs somebody's yes as well."""
    service = release.plan.service
    asked = f"waits for a yes to {share_text(awaited_ppm)} (serinus release confirm {service}); {why}"
    return held(msgspec.structs.replace(release, awaits_ppm=awaited_ppm), asked)


def confirmed(release: Release, awaited_ppm: int) -> Move:
    """Somebody has said yes: what waited for that goes on, anything else stays as it is."""
    state = State.RAMPING if release.awaits_ppm is not None else release.state
    group = release.next_group
    after = msgspec.structs.replace(release, confirmed_ppm=awaited_ppm, confirmed_group=group, state=state)
    where = group_text(release.plan, release.next_group)
    shown = "the promotion" if awaited_ppm == PPM else share_text(awaited_ppm)
    return Move(after, Action.CONFIRM, f"Confirmed {shown}{where} of {names_text(release.running)}")


def resumed(release: Release, why: str | None = None, *, now_ms: int) -> Move:
    """The ramp goes on from where it stands; weights stay, waiting begins anew."""
    after = msgspec.structs.replace(release, state=State.RAMPING, resumed_ms=now_ms)
    reason = f"Ramping again with {shown_text(release)}{_because(why)}"
    return Move(after, Action.RESUME, reason)


def advanced(release: Release, why: str) -> Move:
    """The next stage of the ramp is opened; an adaptive one leaps to the last that the evidence speaks of."""
    if release.next_group != release.group:
        return _joined(release, why)
    before, stages = release.canary_weights_ppm, release.stages
    opened, ramp = release.opened + 1, release.plan.ramp
    if isinstance(ramp, Adaptive):
        each_ppm = min(release.assessment.for_share_ppm // len(release.running), below_ppm(release) - 1)
        opened = release.opened + max(1, sum(rung.weight_ppm <= each_ppm for rung in release.reach(ramp)))
    weights = before | dict.fromkeys(release.running, stages[opened - 1].weight_ppm)
    after = msgspec.structs.replace(release, weights_ppm=weights_of(release.plan, weights), opened=opened)
    was, shown = weights_text(release.running_weights_ppm, word="from"), weights_text(after.running_weights_ppm)
    where = group_text(release.plan, release.group)
    reason = f"Opened {shown}{where} ({was}; step {opened} of {len(stages)}){_because(why)}"
    return Move(after, Action.ADVANCE, reason)


def lowered(release: Release, lowering: Lowering) -> Move:
    """Less than before, and the ramp goes on from there."""
    before, to_ppm = release.canary_weights_ppm, lowering.to_ppm
    weights = {version: min(share, to_ppm) for version, share in before.items()}
    opened = release.opened_at(to_ppm)
    after = msgspec.structs.replace(release, weights_ppm=weights_of(release.plan, weights), opened=opened)
    was = weights_text(release.running_weights_ppm, word="from")
    return Move(after, Action.LOWER, f"Lowered {weights_text(after.running_weights_ppm)} ({was}): {lowering.reason}")


def _joined(release: Release, why: str) -> Move:
    """The next user group takes the ramp's first step; those before it keep the share they have."""
    stages, group = release.stages, release.next_group
    weights = release.canary_weights_ppm | dict.fromkeys(release.running, stages[0].weight_ppm)
    changes = {
        "weights_ppm": weights_of(release.plan, weights), "opened": 1, "group": group,
        "joined": release.running,
    }  # fmt: skip
    after = msgspec.structs.replace(release, **changes)
    where = f"{group_text(release.plan, group)} (group {group + 1} of {len(release.plan.ramp.segments)})"
    return Move(after, Action.ADVANCE, f"Opened {weights_text(after.running_weights_ppm)}{where}{_because(why)}")


def promoted(release: Release, version: str, why: str | None = None) -> Move:
    """All traffic to one version, for good."""
    before = share_text(release.weights_ppm.get(version, 0))
    after = msgspec.structs.replace(
        release,
        state=State.PROMOTED,
        weights_ppm={version: PPM},
        promoted=version,
        opened=len(release.stages),
    )
    return Move(after, Action.PROMOTE, f"Promoted {version} from {before} to 100 %{_because(why)}")


def _left_text(release: Release) -> str:
    return shown_text(release) if release.shadowing else weights_text(release.running_weights_ppm, word="from")


def _because(why: str | None) -> str:
    return f": {why}" if why else ""


def _ended(release: Release, state: State) -> Release:
    weights = {release.plan.baseline: PPM}
    return msgspec.structs.replace(release, state=state, weights_ppm=weights, promoted=None, scheduled=None)
