"""The judge: from beats to evidence, from evidence to a verdict. Pure; the same beats give the same verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from detectors import blocks as block_structure
from detectors.blocks import BlocksState
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from releases import groups as user_groups
from releases import harm as harm_budget
from releases import watch
from releases.budget import ALPHA_PASS, fail_threshold, release_evidence
from releases.counting import Counting, answered, count, start_counting, uncounted
from releases.gates import Gate, Known, gate_of
from releases.groups import Group, GroupsAsked, allotted_ppm
from releases.harm import HarmState
from releases.joint_gate import JointGate, JointKnown, Learned
from releases.joint_sentence import joint_sentence
from releases.margins import margin_at
from releases.sentence import Arms, comparison, degradation, once_in
from releases.split_check import SplitSeen, follow, see, split_evidence, start_split
from releases.verdict import combine
from schemas.evidence import Evidence, Verdict
from schemas.plan import JOINT, Metric, Plan
from schemas.route import Route
from schemas.units import PPM

PASS_THRESHOLD = math.log(1 / ALPHA_PASS)

EVERYONE_ELSE = "*"
"""In place of a segment's name: those whom no user group of the plan names."""

_NO_UNITS = UnitsSeen.none()


class JudgeState(msgspec.Struct, frozen=True, eq=False):
    """Everything that one release's evidence consists of.

    Parameters
    ----------
    blocks : the stretches of log time within which the arms are compared.
    known : canary → gate's label → what its detectors know.
    watched : the observers, which alert and never decide.
    counting : what one observation is.
    split : whether the split is as the routes asked.
    harm : what an adaptive ramp may have spent of its budget.
    groups : the evidence of each user group by itself, when the ramp opens by group.
    """

    blocks: BlocksState
    known: dict[str, dict[str, Known]]
    watched: watch.Watched
    counting: Counting
    split: SplitSeen
    harm: HarmState = HarmState()
    groups: tuple[Group, ...] = ()


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


class Ruling(msgspec.Struct, frozen=True):
    """A :class:`Judgement` without words."""

    verdict: Verdict
    fail_action: Literal["rollback", "hold"]


def basis_of(plan: Plan, state: JudgeState) -> Learned | None:
    """What the joint gate has learned: the same for every canary, since it is learned of the baseline alone."""
    known = state.known[plan.canaries[0]]
    found = (known[gate.label] for gate in plan.gates if gate.kind == JOINT)
    return next((one.learned for one in found if isinstance(one, JointKnown)), None)


def start_judge(plan: Plan) -> JudgeState:
    """No evidence yet."""
    counting, harm = start_counting(plan), harm_budget.start_harm(plan)
    known = _nothing_known(plan, counting)
    groups = user_groups.start_groups(plan, counting)
    return JudgeState(BlocksState(), known, watch.start(plan), counting, start_split(plan), harm, groups)


def _nothing_known(plan: Plan, counting: Counting) -> dict[str, dict[str, Known]]:
    return {
        canary: {gate.label: _gate(plan, gate, counting).start() for gate in plan.gates} for canary in plan.canaries
    }


def _gate(plan: Plan, metric: Metric, counting: Counting) -> Gate:
    return gate_of(plan, metric, "unit" if counting.units else "request")


def begin_step(plan: Plan, state: JudgeState) -> JudgeState:
    """The canary's share has changed: promotion will ask for the data since now as well."""
    known = {
        canary: {gate.label: _gate(plan, gate, state.counting).begin_step(gates[gate.label]) for gate in plan.gates}
        for canary, gates in state.known.items()
    }
    groups = user_groups.begin_step(plan, state.groups, state.counting)
    return msgspec.structs.replace(state, known=known, harm=harm_budget.begin_step(state.harm), groups=groups)


def asked(state: JudgeState, route: Route) -> JudgeState:
    """A route was sent to the routers, for the first time or again."""
    return msgspec.structs.replace(state, split=follow(state.split, route))


def observe(
    plan: Plan,
    state: JudgeState,
    beat: Mapping[tuple[str, str], Summary],
    *,
    beat_end_ms: int,
    units: UnitsSeen = _NO_UNITS,
) -> JudgeState:
    """Add one beat.

    Parameters
    ----------
    plan : of the release.
    state : is not changed.
    beat : (version, segment) → what arrived of it in this beat. Versions outside the plan are left out.
    beat_end_ms : end of the beat, Unix ms of log time. Time does not go back: an earlier end counts as the latest.
    units : a sample of the units that the beat saw.
    """
    beat_end_ms = max(beat_end_ms, state.blocks.ended_ms)
    versions = {plan.baseline, *plan.canaries}
    ours = {key: summary for key, summary in beat.items() if key[0] in versions}
    open_blocks, closed = block_structure.add(state.blocks, ours, beat_end_ms)
    known, counting, groups = state.known, state.counting, state.groups
    if closed:
        counting = count(counting, (plan.baseline, *plan.canaries), closed)
        if counting.counts != state.counting.counts:
            known, groups = _nothing_known(plan, counting), user_groups.start_groups(plan, counting)
        groups = user_groups.observe(plan, groups, closed, counting)
        known = {
            canary: {g.label: _gate(plan, g, counting).observe(gates[g.label], closed, canary) for g in plan.gates}
            for canary, gates in known.items()
        }
    watched = watch.observe(plan, state.watched, ours, beat_end_ms=beat_end_ms)
    split = see(plan, state.split, units, now_ms=beat_end_ms)
    harm = harm_budget.observe(plan, state.harm, ours, closed, beat_end_ms=beat_end_ms)
    return JudgeState(open_blocks, known, watched, counting, split, harm, groups)


class _Found(NamedTuple):
    """What one gate says of one canary; of a gate that fails, ``log_evidence`` is that of all gates together."""

    canary: str
    gate: Metric
    verdict: Verdict
    log_evidence: float


def rule(
    plan: Plan, state: JudgeState, *, running: tuple[str, ...], for_share_ppm: int, groups: GroupsAsked | None = None
) -> Ruling:
    """The verdict of :func:`assess` without its words: most evaluations decide nothing, and nobody reads them."""
    found = _found(plan, state, running, for_share_ppm, groups)
    failed = {one.gate.on_fail for one in found if one.verdict is Verdict.FAIL}
    verdict = _with_split([one.verdict for one in found], split_evidence(plan, state.split))
    if verdict is Verdict.PASS and harm_budget.shortage(plan, state.harm, running, for_share_ppm):
        verdict = Verdict.INCONCLUSIVE
    return Ruling(verdict, "hold" if failed == {"hold"} else "rollback")


def _with_split(gates: list[Verdict], split: Evidence | None) -> Verdict:
    """The verdict of the gates; none of them can be trusted when the split is broken, but a FAIL closes traffic."""
    broken = [Verdict.ERROR] if split is not None and split.verdict is Verdict.ERROR else []
    return combine([*gates, *broken])


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
    failed: list[tuple[float, Literal["rollback", "hold"], Evidence]] = []
    found = _found(plan, state, running, for_share_ppm, groups)
    for one in found:
        rows = [*_rows(plan, state, one, for_share_ppm), *_group_rows(plan, state, one, groups)]
        evidence += rows
        failed += [(row.log_evidence or 0.0, one.gate.on_fail, row) for row in rows if row.verdict is Verdict.FAIL]
    split = split_evidence(plan, state.split)
    observed = (*((split,) if split is not None else ()), *watch.evidence(plan, state.watched))
    if failed:
        rollbacks = [one for one in failed if one[1] == "rollback"]
        _, action, row = max(rollbacks or failed, key=lambda one: one[0])
        return Judgement(Verdict.FAIL, row.sentence, (*evidence, *observed), action)
    verdict = _with_split([one.verdict for one in found], split)
    reason = split.sentence if split is not None and verdict is split.verdict is Verdict.ERROR else None
    reason = reason or _reason(verdict, evidence, by_group=groups is not None)
    if verdict is Verdict.PASS and (short := harm_budget.shortage(plan, state.harm, running, for_share_ppm)):
        verdict, reason = Verdict.INCONCLUSIVE, short
    elif verdict is Verdict.PASS and (spent := harm_budget.spent_text(plan, state.harm, running)):
        reason = f"{reason}; {spent}"
    return Judgement(verdict, reason, (*evidence, *observed), "rollback")


def _reason(verdict: Verdict, evidence: list[Evidence], *, by_group: bool = False) -> str:
    """The sentence of the gate that stands in the way, or, when none does, what the gates have shown."""
    rows = [row for row in evidence if row.verdict is verdict and (row.segment == "") != by_group]
    rows = rows or [row for row in evidence if row.verdict is verdict]
    if verdict is Verdict.PASS:
        return "; ".join(row.sentence for row in rows)
    return min(rows, key=lambda row: row.n_canary).sentence if rows else "no gate has seen anything"


def _found(
    plan: Plan, state: JudgeState, running: tuple[str, ...], share_ppm: int, groups: GroupsAsked | None
) -> list[_Found]:
    """What every gate says of every canary; when gates with one budget fail together, the largest is the cause."""
    found: list[_Found] = []
    for canary in running:
        known = state.known[canary]
        unknown = uncounted(state.counting, (plan.baseline, canary)) is not None
        for action in ("rollback", "hold"):
            gates = [gate for gate in plan.gates if gate.on_fail == action]
            logs = {gate.label: _gate(plan, gate, state.counting).evidence(known[gate.label]) for gate in gates}
            together = release_evidence(plan, logs, action)
            fails = bool(gates) and together >= fail_threshold(plan, len(running))
            worst = max(logs, key=lambda label: logs[label]) if fails else None
            for gate in gates:
                alone = logs[gate.label]
                if gate.label == worst:
                    found.append(_Found(canary, gate, Verdict.FAIL, together))
                else:
                    judge = _gate(plan, gate, state.counting)
                    verdict = Verdict.NO_DATA if unknown else _verdict(judge, known[gate.label], share_ppm, alone)
                    if verdict is Verdict.NO_DATA and not unknown and _awaits(plan, state, canary, gate):
                        verdict = Verdict.INCONCLUSIVE
                    if groups is not None and verdict in {Verdict.PASS, Verdict.INCONCLUSIVE} and gate.name != "joint":
                        verdict = combine(each for _, each, _ in _by_group(plan, state, canary, gate, groups))
                    found.append(_Found(canary, gate, verdict, alone))
    return found


def _awaits(plan: Plan, state: JudgeState, canary: str, gate: Metric) -> bool:
    """Whether feedback is still to come: requests of both versions were answered. That is waiting, and no silence."""
    return gate.delayed and min(answered(state.counting, version) for version in (plan.baseline, canary)) > 0


def _by_group(
    plan: Plan, state: JudgeState, canary: str, gate: Metric, groups: GroupsAsked
) -> list[tuple[int, Verdict, int]]:
    """Group, its verdict, and the share that it was asked about: of every group that the canary was shown to."""
    judge, found = _gate(plan, gate, state.counting), list[tuple[int, Verdict, int]]()
    promotion = min(groups.shares_ppm) >= PPM
    for index, share_ppm in enumerate(allotted_ppm(plan, gate, state.groups, groups)):
        known = state.groups[index].known[canary][gate.label]
        verdict = _verdict(judge, known, share_ppm, 0.0, promotion=promotion)
        # A small group may be quiet for long: silence is what limits ask of versions, not of groups.
        found.append((index, Verdict.INCONCLUSIVE if verdict is Verdict.NO_DATA else verdict, share_ppm))
    return found


def _group_rows(plan: Plan, state: JudgeState, found: _Found, groups: GroupsAsked | None) -> list[Evidence]:
    if groups is None or found.gate.name == "joint" or found.verdict not in {Verdict.PASS, Verdict.INCONCLUSIVE}:
        return []
    rows = []
    for index, verdict, share_ppm in _by_group(plan, state, found.canary, found.gate, groups):
        known, name = state.groups[index].known[found.canary][found.gate.label], ", ".join(plan.ramp.segments[index])
        one = found._replace(verdict=verdict)
        rows.append(_evidence(plan, state, one, known, (0, name, found.log_evidence, share_ppm)))
    return rows


def _rows(plan: Plan, state: JudgeState, found: _Found, share_ppm: int) -> list[Evidence]:
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
    harm = _gate(plan, gate, state.counting).harm(state.known[canary][gate.label])
    row = max(range(len(harm)), key=lambda index: harm[index])
    return row, state.blocks.segments[row - 1] if row else ""


def _verdict(
    judge: Gate, known: Known, share_ppm: int, log_evidence: float, *, promotion: bool | None = None
) -> Verdict:
    estimate = judge.estimate(known, 0)
    if estimate.n_canary == 0 or estimate.n_baseline == 0:
        return Verdict.NO_DATA
    overall = judge.excluded(known, share_ppm, recent=False)
    if (share_ppm == PPM if promotion is None else promotion) and overall >= PASS_THRESHOLD:
        overall = min(overall, judge.excluded(known, share_ppm, recent=True))
    if math.isnan(overall) or math.isnan(log_evidence):
        return Verdict.ERROR
    return Verdict.PASS if overall >= PASS_THRESHOLD else Verdict.INCONCLUSIVE


def _evidence(
    plan: Plan, state: JudgeState, found: _Found, known: Known, shown: tuple[int, str, float, int]
) -> Evidence:
    canary, gate, verdict, _ = found
    row, segment, log_evidence, share_ppm = shown
    judge = _gate(plan, gate, state.counting)
    estimate = judge.estimate(known, row)
    arms = Arms(canary, estimate.canary, plan.baseline, estimate.baseline)
    pair = comparison(gate, arms, detail=judge.detail(known, row))
    where = f" in segment {segment}" if segment else ""
    where = " for everyone else" if segment == EVERYONE_ELSE else where
    by_unit = ", counted by unit" if state.counting.units and gate.kind != "joint" else ""
    counts = f"{pair}{where} after {estimate.n_canary:,} requests of {canary}{by_unit}"
    if gate.delayed:
        requests = f"{answered(state.counting, canary):,} requests of {canary}{by_unit}"
        counts = f"{pair}{where} after feedback on {estimate.n_canary:,} of {requests}"
        counts = counts if estimate.n_canary else f"{gate.label}: no feedback to compare yet after {requests}"
    margin = degradation(gate, margin_at(plan, gate, share_ppm))
    match verdict:
        case Verdict.FAIL:
            sentence = f"{counts}; {once_in(log_evidence)}"
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
        sentence = joint_sentence(judge, known, (row, segment, verdict, log_evidence), canary)
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
    )
