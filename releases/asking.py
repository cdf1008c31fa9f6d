"""Which share the judge is asked about."""

from __future__ import annotations

from releases.groups import asked_of
from releases.harm import HarmState, reckon
from releases.judge import JudgeState
from releases.release_state import Release
from releases.ruling import Ruling, rule
from schemas.evidence import Verdict
from schemas.ramp import Adaptive


def ask(release: Release, judge: JudgeState, *, now_ms: int) -> tuple[int, Ruling]:
    """What the judge says of the next step, and of which share.

    A fixed ramp knows its next share. An adaptive one asks for the largest share that its harm budget affords, and for
    smaller ones as long as there is no PASS, so that one gate's larger need does not stop what the others allow.

    Parameters
    ----------
    release : active.
    judge : its evidence.
    now_ms : Unix ms of log time.

    Returns
    -------
    The share, all canaries together, in parts per million, and the ruling on it.
    """
    said, share_ppm = None, release.next_share_ppm
    for share_ppm in shares_asked(release, judge.harm, now_ms=now_ms):
        said = rule(release.plan, judge, running=release.running, for_share_ppm=share_ppm, groups=asked_of(release))
        if said.verdict in {Verdict.PASS, Verdict.FAIL}:
            break
    assert said is not None
    return share_ppm, said


def shares_asked(release: Release, harm: HarmState, *, now_ms: int) -> list[int]:
    """The shares to ask about, all canaries together, the largest first, at least one."""
    ramp, running = release.plan.ramp, release.running
    if not isinstance(ramp, Adaptive) or now_ms - release.step_since_ms < release.hold_ms:
        return [release.next_share_ppm]
    reckoned = reckon(release.plan, harm, running)
    affordable = [
        rung.weight_ppm * len(running)
        for rung in release.reach(ramp)
        if (after := reckoned.after(rung.weight_ppm)) is not None and after <= ramp.harm_budget
    ]
    return affordable[::-1] or [release.next_share_ppm]
