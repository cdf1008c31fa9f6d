"""What a plan's limits say now: waiting is bounded, and waiting in vain never ends in more traffic."""

from __future__ import annotations

from typing import Literal

import msgspec

from releases.release_state import Release
from releases.routing import UNOBSERVED_AFTER_MS
from releases.wording import duration_text, share_text
from schemas.decision import State
from schemas.evidence import Verdict


class Breach(msgspec.Struct, frozen=True):
    """A limit is reached: what it asks for, and why in words."""

    action: Literal["hold", "rollback"]
    verdict: Verdict
    reason: str


class Silence(msgspec.Struct, frozen=True):
    """For how long something has been unknown, and what."""

    lasted_ms: int
    reason: str
    verdict: Verdict


def passing(release: Release) -> bool:
    """Whether the judge's last word excludes harm beyond the margin of the next step."""
    said = release.assessment
    return said.verdict is Verdict.PASS and said.for_share_ppm >= release.next_share_ppm


def breach(release: Release, *, now_ms: int) -> Breach | None:
    """The gravest limit that an active release has reached, or None.

    - Nothing known for ``no_data.after`` (a canary with traffic or the baseline is silent, or the judge says NO_DATA or
      ERROR): as configured; for ``no_data_rollback``: roll back. ERROR holds at once, since no verdict can be trusted.
    - Of a release that is scheduled none: it has no traffic, and its time has not begun.
    - ``max_duration`` since the start: roll back, paused or not. Who has not shown to be good by then is not.
    - No PASS for ``inconclusive.after``, counted from when the step's hold was over or the release was resumed: as
      configured. A paused release is exempt: there the waiting is an operator's wish.
    """
    if release.state is State.SCHEDULED:
        return None
    limits = release.plan.limits
    silence = longest_silence(release, now_ms=now_ms)
    if silence is not None:
        for_good = limits.no_data.after if limits.no_data.action == "rollback" else limits.no_data_rollback
        if silence.lasted_ms >= min(for_good, limits.no_data_rollback):
            return Breach("rollback", silence.verdict, silence.reason)
    if now_ms - release.started_ms >= limits.max_duration:
        return Breach("rollback", release.assessment.verdict, _too_long(release))
    if silence is not None and silence.verdict is Verdict.ERROR:
        return Breach("hold", Verdict.ERROR, silence.reason)
    if silence is not None and silence.lasted_ms >= limits.no_data.after:
        last = duration_text(limits.no_data_rollback)
        return Breach("hold", Verdict.NO_DATA, f"{silence.reason}; rolled back if that lasts for {last}")
    return _inconclusive(release, now_ms=now_ms)


def longest_silence(release: Release, *, now_ms: int) -> Silence | None:
    """For how long something has been unknown that must be known; None while no canary has traffic or copies of it."""
    if not release.canaries_served and not release.shadowing:
        return None
    said, since_ms = release.assessment, release.seen_ms
    unheard = min((*release.running, release.plan.baseline), key=lambda version: since_ms[version])
    lasted_ms = now_ms - max(since_ms[unheard], release.resumed_ms)
    found = [Silence(lasted_ms, f"no request from {unheard} for {duration_text(lasted_ms)}", Verdict.NO_DATA)]
    if release.unknown_since_ms is not None:
        lasted_ms = now_ms - max(release.unknown_since_ms, release.resumed_ms)
        lasted = f" for {duration_text(lasted_ms)}" if lasted_ms >= 1_000 else ""
        reason = f"{said.verdict.value}{lasted}: {said.reason.rstrip('. ')}"
        found.append(Silence(lasted_ms, reason, said.verdict))
    # ERROR is the graver word, and it must not make a silence look shorter than it is.
    gravest = max(found, key=lambda silence: (silence.verdict.rank, silence.lasted_ms))
    longest = msgspec.structs.replace(gravest, lasted_ms=max(silence.lasted_ms for silence in found))
    unreported_ms = now_ms - release.judged_ms
    if unreported_ms > UNOBSERVED_AFTER_MS:
        # One cause, said once: without reports every version looks silent.
        reason = f"no report of any version for {duration_text(unreported_ms)}"
        longest = msgspec.structs.replace(longest, reason=reason)
    return longest


def _too_long(release: Release) -> str:
    said = release.assessment
    limit = duration_text(release.plan.limits.max_duration)
    return f"not promoted within max_duration {limit}; at last {said.verdict.value}: {said.reason}"


def _inconclusive(release: Release, *, now_ms: int) -> Breach | None:
    if release.state is State.PAUSED or passing(release):
        return None
    rule = release.plan.limits.inconclusive
    waited_ms = now_ms - max(release.step_since_ms + release.hold_ms, release.resumed_ms)
    if waited_ms < rule.after:
        return None
    said = release.assessment
    wanted = share_text(release.next_share_ppm)
    reason = f"no PASS for {wanted} after waiting {duration_text(waited_ms)}; {said.verdict.value}: {said.reason}"
    return Breach(rule.action, said.verdict, reason)
