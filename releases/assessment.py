"""From evidence to words: the rows that operators read, and the one sentence that a decision gives as its reason."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from releases import harm as harm_budget
from releases import watch
from releases.counting import answered, uncounted
from releases.delays import delay_of, delays_text
from releases.gates import Known
from releases.groups import GroupsAsked
from releases.joint_gate import JointGate, JointKnown
from releases.joint_sentence import joint_sentence
from releases.judge import JudgeState, gate_in
from releases.margins import margin_at
from releases.ruling import Found, by_group, found_of, ruling_of
from releases.sentence import Arms, comparison, degradation, lately_text, once_in
from releases.split_evidence import split_evidence
from schemas.evidence import Evidence, Verdict
from schemas.metric import JOINT, Metric
from schemas.plan import Plan

EVERYONE_ELSE = "*"
"""In place of a segment's name: those whom no user group of the plan names."""


class Judgement(msgspec.Struct, frozen=True):
    """What is known now, of all canaries together.

    Parameters
    ----------
    verdict : the worst over gates and canaries, for the share that was asked about.
    reason : one sentence with the numbers that decided.
    fail_action : what a FAIL asks for; ``hold`` when only gates that hold have failed.
    """

    verdict: Verdict
    reason: str
    evidence: tuple[Evidence, ...]
    fail_action: Literal["rollback", "hold"]


def assess(
    plan: Plan, state: JudgeState, *, running: tuple[str, ...], for_share_ppm: int, groups: GroupsAsked | None = None
) -> Judgement:
    """What the evidence says about opening the canaries to ``for_share_ppm`` of the traffic, in words.

    Parameters
    ----------
    plan : of the release.
    state : the evidence.
    running : the canaries that the ramp moves; the others are shown and do not count.
    for_share_ppm : all canaries together after the next step; 1,000,000 asks about the promotion.
    groups : of a ramp that opens by user group, what each of them gets; then PASS is asked of each group by itself.
    """
    evidence: list[Evidence] = []
    failed: list[Evidence] = []
    found = found_of(plan, state, running, for_share_ppm, groups)
    ruling = ruling_of(plan, state, found, running, for_share_ppm)
    for one in found:
        rows = [*_rows(plan, state, one, for_share_ppm), *_group_rows(plan, state, one, groups)]
        evidence += rows
        failed += [row for row in rows if row.verdict is Verdict.FAIL and one.gate.on_fail == ruling.fail_action]
    split = split_evidence(plan, state.split)
    observed = (*((split,) if split is not None else ()), *watch.evidence(plan, state.watched))
    if ruling.verdict is Verdict.FAIL:
        reason = _worst(failed)
    elif ruling.verdict is Verdict.ERROR and split is not None and split.verdict is Verdict.ERROR:
        reason = split.sentence
    else:
        reason = ruling.held_back or _reason(ruling.verdict, evidence, grouped=groups is not None)
    if ruling.verdict is Verdict.PASS and (spent := harm_budget.spent_text(plan, state.harm, running)):
        reason = f"{reason}; {spent}"
    return Judgement(ruling.verdict, reason, (*evidence, *observed), ruling.fail_action)


def _worst(failed: list[Evidence]) -> str:
    """Of each canary that has failed the sentence of the gate that shows most."""
    worst: dict[str, Evidence] = {}
    for row in sorted(failed, key=lambda row: -(row.log_evidence or 0.0)):
        worst.setdefault(row.version, row)
    return "; ".join(row.sentence for row in worst.values())


def _reason(verdict: Verdict, evidence: list[Evidence], *, grouped: bool = False) -> str:
    """The sentence of the gate that stands in the way, or, when none does, what the gates have shown."""
    rows = [row for row in evidence if row.verdict is verdict and (row.segment == "") != grouped]
    rows = rows or [row for row in evidence if row.verdict is verdict]
    if verdict is Verdict.PASS:
        return "; ".join(row.sentence for row in rows)
    return min(rows, key=lambda row: row.n_canary).sentence if rows else "no gate has seen anything"


def _group_rows(plan: Plan, state: JudgeState, found: Found, groups: GroupsAsked | None) -> list[Evidence]:
    if groups is None or found.gate.name == JOINT or found.verdict not in {Verdict.PASS, Verdict.INCONCLUSIVE}:
        return []
    rows = []
    for index, verdict, share_ppm in by_group(plan, state, found.canary, found.gate, groups):
        known, name = state.groups[index].known[found.canary][found.gate.label], ", ".join(plan.ramp.segments[index])
        one = found._replace(verdict=verdict)
        rows.append(_evidence(plan, state, one, known, (0, name, found.log_evidence, share_ppm)))
    return rows


def _rows(plan: Plan, state: JudgeState, found: Found, share_ppm: int) -> list[Evidence]:
    """The rows of one gate: the total, and before it the segment that a FAIL is about."""
    canary, gate, verdict, shown = found
    known = state.known[canary][gate.label]
    rows = [(0, "")]
    if verdict is Verdict.FAIL:
        row, segment = _row(plan, state, canary, gate)
        rows = [(row, segment), (0, "")] if segment else rows
    return [_evidence(plan, state, found, known, (row, segment, shown, share_ppm)) for row, segment in rows]


def _row(plan: Plan, state: JudgeState, canary: str, gate: Metric) -> tuple[int, str]:
    """The row that shows most harm: the total, or the segment that the total hides."""
    if not plan.by_segment:
        return 0, ""
    harm = gate_in(plan, gate, state.counting).harm(state.known[canary][gate.label])
    row = max(range(len(harm)), key=lambda index: harm[index])
    return row, state.blocks.segments[row - 1] if row else ""


def _evidence(
    plan: Plan, state: JudgeState, found: Found, known: Known, shown: tuple[int, str, float, int]
) -> Evidence:
    canary, gate, verdict, _ = found
    row, segment, log_evidence, share_ppm = shown
    # Any of several canaries may show this by chance.
    by_chance = log_evidence - math.log(len(plan.canaries))
    judge = gate_in(plan, gate, state.counting)
    estimate = judge.estimate(known, row)
    arms = Arms(canary, estimate.canary, plan.baseline, estimate.baseline)
    detail = judge.detail(known, row)
    pair = comparison(gate, arms, detail=detail)
    where = f" in segment {segment}" if segment else ""
    where = " for everyone else" if segment == EVERYONE_ELSE else where
    by_unit = ", counted by unit" if state.counting.units and gate.kind != JOINT else ""
    counts = f"{pair}{where} after {estimate.n_canary:,} requests of {canary}{by_unit}"
    ours, theirs, delays = None, None, ""
    if gate.delayed:
        if not segment:
            ours, theirs = (delay_of(state.delays, version) for version in (canary, plan.baseline))
        requests = f"{answered(state.counting, canary):,} requests of {canary}{by_unit}"
        delays = delays_text((canary, ours), (plan.baseline, theirs))
        counts = f"{pair}{where} after feedback on {estimate.n_canary:,} of {requests}{delays}"
        counts = counts if estimate.n_canary else f"{gate.label}: no feedback to compare yet after {requests}"
    margin = degradation(gate, margin_at(plan, gate, share_ppm))
    match verdict:
        case Verdict.FAIL:
            newest = lately_text(gate, arms, estimate, f"{where}{by_unit}", detail)
            sentence = f"{newest + delays if newest else counts}; {once_in(by_chance)}"
        case Verdict.PASS:
            sentence = f"{counts}; more than {margin} worse is excluded"
        case Verdict.NO_DATA:
            unknown = uncounted(state.counting, (plan.baseline, canary))
            sentence = f"{gate.label}: {unknown or f'nothing of {canary} to compare with {plan.baseline} yet'}"
        case Verdict.ERROR:
            sentence = f"{gate.label}: the evidence of {canary} is not a number"
            if gate.range is not None:
                limits = f"{gate.range[0]:g} to {gate.range[1]:g}"
                sentence = f"{gate.label}: a value outside {limits}, the plan's range, was seen; nothing is known"
        case Verdict.INCONCLUSIVE:
            sentence = f"{counts}; {margin} worse is not excluded yet"
            if gate.level is not None and estimate.canary is None:
                sentence = f"{gate.label}: still learning where that of {plan.baseline} is"
    if isinstance(judge, JointGate) and isinstance(known, JointKnown):
        sentence = joint_sentence(judge, known, (row, segment, verdict, by_chance), canary)
    return Evidence(
        metric=gate.label,
        segment=segment,
        version=canary,
        detector=judge.detector,
        detector_version=judge.detector_version,
        role="gate",
        verdict=verdict,
        n_baseline=estimate.n_baseline,
        n_canary=estimate.n_canary,
        sentence=sentence,
        baseline=estimate.baseline,
        canary=estimate.canary,
        effect=estimate.effect,
        effect_low=estimate.low,
        effect_high=estimate.high,
        log_evidence=log_evidence if math.isfinite(log_evidence) else None,
        alpha=plan.alpha,
        baseline_delay=theirs,
        canary_delay=ours,
    )
