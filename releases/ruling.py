"""From evidence to a verdict, without words: most evaluations decide nothing, and nobody reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from releases.budget import ALPHA_PASS, fail_threshold, release_evidence
from releases.counting import answered, uncounted
from releases.gates import Gate, Known
from releases.groups import GroupsAsked, allotted_ppm
from releases.held_back import held_back
from releases.judge import JudgeState, gate_in
from releases.remembered import remembered
from releases.split_evidence import split_broken
from releases.verdict import combine
from schemas.evidence import Verdict
from schemas.metric import JOINT, Metric
from schemas.plan import Plan
from schemas.units import PPM

PASS_THRESHOLD = math.log(1 / ALPHA_PASS)


class Ruling(msgspec.Struct, frozen=True):
    """What a release may do now.

    Parameters
    ----------
    verdict : the worst over gates and canaries, and of the split.
    fail_action, failed : what a FAIL asks for, and of which canaries; ``hold`` when only gates that hold have failed.
    held_back : why the gates' PASS opens nothing yet, in words.
    """

    verdict: Verdict
    fail_action: Literal["rollback", "hold"]
    failed: tuple[str, ...] = ()
    held_back: str | None = None


class Found(NamedTuple):
    """What one gate says of one canary; of a gate that fails, ``log_evidence`` is that of all gates together."""

    canary: str
    gate: Metric
    verdict: Verdict
    log_evidence: float


def rule(
    plan: Plan, state: JudgeState, *, running: tuple[str, ...], for_share_ppm: int, groups: GroupsAsked | None = None
) -> Ruling:
    """The verdict of :func:`assess` without its words: most evaluations decide nothing, and nobody reads them."""
    return ruling_of(plan, state, found_of(plan, state, running, for_share_ppm, groups), running, for_share_ppm)


def ruling_of(
    plan: Plan, state: JudgeState, found: Sequence[Found], running: tuple[str, ...], for_share_ppm: int
) -> Ruling:
    """What the findings of all gates come to."""
    failed = [one for one in found if one.verdict is Verdict.FAIL]
    rollbacks = [one for one in failed if one.gate.on_fail == "rollback"]
    verdict = with_split([one.verdict for one in found], broken=split_broken(plan, state.split))
    short = held_back(plan, state.since_step, state.harm, running, for_share_ppm) if verdict is Verdict.PASS else None
    action: Literal["rollback", "hold"] = "hold" if failed and not rollbacks else "rollback"
    canaries = tuple(dict.fromkeys(one.canary for one in rollbacks or failed))
    return Ruling(verdict if short is None else Verdict.INCONCLUSIVE, action, canaries, short)


def with_split(gates: list[Verdict], *, broken: bool) -> Verdict:
    """The verdict of the gates; none of them can be trusted when the split is broken, but a FAIL closes traffic."""
    return combine([*gates, *([Verdict.ERROR] if broken else [])])


def found_of(
    plan: Plan, state: JudgeState, running: tuple[str, ...], share_ppm: int, groups: GroupsAsked | None
) -> list[Found]:
    """What every gate says of every canary; when gates with one budget fail together, the largest is the cause."""
    found: list[Found] = []
    for canary in running:
        known = state.known[canary]
        unknown = uncounted(state.counting, (plan.baseline, canary)) is not None
        for action in ("rollback", "hold"):
            judges = [(gate, gate_in(plan, gate, state.counting)) for gate in plan.gates if gate.on_fail == action]
            if not judges:
                continue
            logs = {gate.label: _evidence(known[gate.label], judge, plan.by_segment) for gate, judge in judges}
            together = release_evidence(plan, logs, action)
            fails = together >= fail_threshold(plan)
            worst = max(logs, key=lambda label: logs[label]) if fails else None
            for (gate, judge), (label, alone) in zip(judges, logs.items(), strict=True):
                if label == worst:
                    found.append(Found(canary, gate, Verdict.FAIL, together))
                else:
                    verdict = Verdict.NO_DATA if unknown else _verdict(judge, known[label], share_ppm, alone)
                    if verdict is Verdict.NO_DATA and not unknown and _awaits(plan, state, canary, gate):
                        verdict = Verdict.INCONCLUSIVE
                    if groups is not None and verdict in {Verdict.PASS, Verdict.INCONCLUSIVE} and gate.name != JOINT:
                        verdict = combine(each for _, each, _ in by_group(plan, state, canary, gate, groups))
                    found.append(Found(canary, gate, verdict, alone))
    return found


@remembered
def _evidence(known: Known, judge: Gate, by_segment: bool) -> float:
    """Half on the total, half spread over the segments; of a plan that does not judge by segment the total alone."""
    return judge.evidence(known) if by_segment else judge.harm(known)[0]


def _awaits(plan: Plan, state: JudgeState, canary: str, gate: Metric) -> bool:
    """Whether feedback is still to come: requests of both versions were answered. That is waiting, and no silence."""
    return gate.delayed and min(answered(state.counting, version) for version in (plan.baseline, canary)) > 0


def by_group(
    plan: Plan, state: JudgeState, canary: str, gate: Metric, groups: GroupsAsked
) -> list[tuple[int, Verdict, int]]:
    """Group, its verdict, and the share that it was asked about: of every group that the canary was shown to."""
    judge, found = gate_in(plan, gate, state.counting), list[tuple[int, Verdict, int]]()
    promotion = min(groups.shares_ppm) >= PPM
    for index, share_ppm in enumerate(allotted_ppm(plan, gate, state.groups, groups)):
        known = state.groups[index].known[canary][gate.label]
        verdict = _verdict(judge, known, share_ppm, 0.0, promotion=promotion)
        # A small group may be quiet for long: silence is what limits ask of versions, not of groups.
        found.append((index, Verdict.INCONCLUSIVE if verdict is Verdict.NO_DATA else verdict, share_ppm))
    return found


def _verdict(
    judge: Gate, known: Known, share_ppm: int, log_evidence: float, *, promotion: bool | None = None
) -> Verdict:
    if not judge.compared(known):
        return Verdict.NO_DATA
    excluded = _excluded(known, judge, share_ppm, share_ppm == PPM if promotion is None else promotion)
    if math.isnan(excluded) or math.isnan(log_evidence):
        return Verdict.ERROR
    return Verdict.PASS if excluded >= PASS_THRESHOLD else Verdict.INCONCLUSIVE


@remembered
def _excluded(known: Known, judge: Gate, share_ppm: int, promotion: bool) -> float:
    """Of all evidence; for a promotion the data since the last step alone has to exclude the harm as well."""
    overall = judge.excluded(known, share_ppm, recent=False)
    if promotion and overall >= PASS_THRESHOLD:
        return min(overall, judge.excluded(known, share_ppm, recent=True))
    return overall
