"""The judge: from beats to evidence. Pure; the same beats give the same evidence."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from detectors import blocks as block_structure
from detectors.blocks import BlocksState
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from releases import groups as user_groups
from releases import harm as harm_budget
from releases import held_back, split_check, watch
from releases.counting import Counting, count, start_counting
from releases.delays import add_delays, start_delays
from releases.gates import Gate, Known, gate_of
from releases.groups import Group
from releases.harm import HarmState
from releases.joint_gate import JointKnown, Learned
from releases.split_check import SplitSeen, follow, see, start_split
from schemas.metric import JOINT, Metric
from schemas.plan import Plan
from schemas.route import Route

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
    delays : version → how long its feedback took; empty unless a gate is on feedback.
    since_step : canary → its requests since the step began; empty unless the plan asks for a number of them.
    """

    blocks: BlocksState
    known: dict[str, dict[str, Known]]
    watched: watch.Watched
    counting: Counting
    split: SplitSeen
    harm: HarmState = HarmState()
    groups: tuple[Group, ...] = ()
    delays: dict[str, LogHistogram] = {}
    since_step: dict[str, int] = {}


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
    delays = start_delays(plan)
    return JudgeState(BlocksState(), known, watch.start(plan), counting, start_split(plan), harm, groups, delays)


def _nothing_known(plan: Plan, counting: Counting) -> dict[str, dict[str, Known]]:
    return {
        canary: {gate.label: gate_in(plan, gate, counting).start() for gate in plan.gates} for canary in plan.canaries
    }


def gate_in(plan: Plan, metric: Metric, counting: Counting) -> Gate:
    """The gate of a metric, for what is counted in this release."""
    return gate_of(plan, metric, "unit" if counting.units else "request")


def begin_step(plan: Plan, state: JudgeState) -> JudgeState:
    """The canary's share has changed: promotion will ask for the data since now as well."""
    known = {
        canary: {gate.label: gate_in(plan, gate, state.counting).begin_step(gates[gate.label]) for gate in plan.gates}
        for canary, gates in state.known.items()
    }
    groups = user_groups.begin_step(plan, state.groups, state.counting)
    harm = harm_budget.begin_step(state.harm)
    return msgspec.structs.replace(state, known=known, harm=harm, groups=groups, since_step={})


def asked(state: JudgeState, route: Route) -> JudgeState:
    """A route was sent to the routers, for the first time or again."""
    return msgspec.structs.replace(state, split=follow(state.split, route))


def ticked(state: JudgeState, now_ms: int) -> JudgeState:
    """A tick came at ``now_ms``, Unix ms of log time: some worker is there."""
    return msgspec.structs.replace(state, split=split_check.ticked(state.split, now_ms))


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
    known, counting, groups, delays = state.known, state.counting, state.groups, state.delays
    if closed:
        delays = add_delays(delays, closed)
        counting = count(counting, (plan.baseline, *plan.canaries), closed)
        if counting.counts != state.counting.counts:
            known, groups = _nothing_known(plan, counting), user_groups.start_groups(plan, counting)
        groups = user_groups.observe(plan, groups, closed, counting)
        known = {
            canary: {g.label: gate_in(plan, g, counting).observe(gates[g.label], closed, canary) for g in plan.gates}
            for canary, gates in known.items()
        }
    watched = watch.observe(plan, state.watched, ours, beat_end_ms=beat_end_ms)
    split = see(plan, state.split, units, now_ms=beat_end_ms)
    harm = harm_budget.observe(plan, state.harm, ours, closed, beat_end_ms=beat_end_ms)
    since_step = held_back.count(plan, state.since_step, ours)
    return JudgeState(open_blocks, known, watched, counting, split, harm, groups, delays, since_step)
