"""A plan in words: what it asks for, what that costs in requests and time, and what is wrong with it."""

from __future__ import annotations

from releases.budget import gate_weights
from releases.expected_requests import CV_ASSUMED, ERROR_RATE_ASSUMED, canary_requests
from releases.hooks import hook_lines
from releases.joint_gate import ENOUGH
from releases.margins import margin_at
from releases.opening_hours import hours_text
from releases.paces import Pace, lasts_text, paces_of, total_ms
from releases.plan_warnings import plan_warnings
from releases.ramp_picture import ramp_picture
from releases.ramps.adaptive import LEAP_FACTOR_MAX, LEARNING_PPM_MAX
from releases.seasons import season_lines
from releases.sentence import degradation
from releases.wording import names_text, share_text
from schemas.metric import JOINT, Metric
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM


def explain(plan: Plan, rate_per_s: float | None = None) -> list[str]:
    """A plan in sentences, for ``serinus plan check``; warnings come last.

    Parameters
    ----------
    plan : checked.
    rate_per_s : requests per second of the whole service, > 0; with it expected times are told.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> for line in explain(parse_plan(EXAMPLE), rate_per_s=50)[:2]:
    ...     print(line)
    chat: v2 is compared with v1. By evidence at most 1 in 20 healthy releases is rolled back (alpha 0.05).
    error_rate: more than 0.125 points worse is rolled back (alpha 0.05); promotion takes that 0.5 points is excluded.
    """
    groups = plan.ramp.segments
    # A group's traffic is not known here, and its evidence is its own: only holds can be told.
    rate_per_s = None if groups else rate_per_s
    paces = paces_of(plan, rate_per_s)
    lines = [_head(plan), *(_gate(plan, gate) for gate in plan.gates), *_observers(plan), *season_lines(plan)]
    if plan.by_segment:
        lines.append("Half of each gate's evidence of harm looks at all requests, half at each segment by itself.")
    lines.append(_counted(plan))
    lines += [*_groups(plan), *_adaptive(plan)]
    lines += [_step(plan, index, pace, len(paces)) for index, pace in enumerate(paces)]
    lines.append(
        f"Expected numbers are for a canary as good as {plan.baseline}, with an error rate of "
        f"{ERROR_RATE_ASSUMED * 100:g} % and numbers whose standard deviation is {CV_ASSUMED:g} × their mean."
    )
    holds_ms = sum(pace.stage.hold_ms for pace in paces) * max(1, len(groups))
    total = f"Promotion after {lasts_text(holds_ms)} at the earliest"
    if rate_per_s is not None:
        total += f"; expected after {lasts_text(total_ms(paces))} at {rate_per_s:g} requests/s"
    lines += [_picture(plan, paces), f"{total}.", *_hours(plan), *_limits(plan), *hook_lines(plan)]
    lines += plan_warnings(plan, paces, rate_per_s)
    return lines


def _needed_text(plan: Plan, gate: Metric, pace: Pace) -> str:
    text = f"about {pace.requests[gate.label]:,.0f} canary requests"
    if plan.independent is not None:
        return text
    weight_ppm, share_ppm = pace.stage.weight_ppm, pace.for_share_ppm
    by_unit = canary_requests(plan, gate, weight_ppm=weight_ppm, for_share_ppm=share_ppm, counts="unit")
    return f"{text}, {by_unit:,.0f} by unit"


def _counted(plan: Plan) -> str:
    if plan.independent == "request":
        return "Requests are counted one by one."
    where = "" if plan.independent == "unit" else " where events carry one, else requests"
    return (
        f"Units (users) are counted{where}: requests of one user are not taken for independent. Expected numbers by "
        "unit are the least: dependence within users multiplies them by its design effect."
    )


def _head(plan: Plan) -> str:
    each = " each" if len(plan.canaries) > 1 else ""
    verb = "are" if each else "is"
    return (
        f"{plan.service}: {names_text(plan.canaries)} {verb}{each} compared with {plan.baseline}. By evidence at most "
        f"1 in {1 / plan.alpha:.3g} healthy releases is rolled back (alpha {plan.alpha:g})."
    )


def _gate(plan: Plan, gate: Metric) -> str:
    alpha = plan.alpha * gate_weights(plan, gate.on_fail)[gate.label]
    done = "is rolled back" if gate.on_fail == "rollback" else "holds the share"
    if gate.kind == JOINT:
        return (
            f"{gate.label}: any difference of {names_text(gate.of)} together {done} (alpha {alpha:.3g}); it excludes "
            f"nothing: it learns what is usual of {plan.baseline}, and passes when {ENOUGH} requests of each version "
            "show no difference."
        )
    worse = {"higher": "worse", "lower": "lower", "either": "higher or lower"}[gate.worse]
    if gate.kind == "mix":
        worse = "in the share of any value, either way,"
    tolerated, margin = degradation(gate, gate.tolerated), degradation(gate, float(gate.margin or 0.0))
    return (
        f"{gate.label}: more than {tolerated} {worse} {done} (alpha {alpha:.3g}); "
        f"promotion takes that {margin} is excluded."
    )


def _observers(plan: Plan) -> list[str]:
    watched = tuple(metric.label for metric in plan.metrics if metric.role == "observe")
    return [f"{names_text(watched)}: watched and shown, never decided by."] if watched else []


def _groups(plan: Plan) -> list[str]:
    groups = [names_text(group) for group in plan.ramp.segments[:-1]]
    if not groups:
        return []
    return [
        f"Opened by user group: {', then '.join(groups)}, then everyone else. Each takes the steps below, and each by "
        "itself has to show that the canary is not worse for it; numbers are for a group with all the traffic."
    ]


def _adaptive(plan: Plan) -> list[str]:
    if not isinstance(plan.ramp, Adaptive):
        return []
    budget = f"{plan.ramp.harm_budget} failed requests more than with {plan.baseline}"
    return [
        f"The ramp is adaptive, its steps as below at the fastest: it opens as much, at most {LEAP_FACTOR_MAX} times "
        f"the share, as cannot cost {budget} before the hold is over. Beyond {share_text(LEARNING_PPM_MAX)} of the "
        "traffic it goes when what the promotion asks for has been excluded.",
    ]


def _step(plan: Plan, index: int, pace: Pace, count: int) -> str:
    each = " each" if len(plan.canaries) > 1 else ""
    asked = ", ".join(
        f"{gate.label} worse by {degradation(gate, margin_at(plan, gate, pace.for_share_ppm))} "
        f"({_needed_text(plan, gate, pace)})"
        for gate in plan.gates
        if gate.kind != JOINT
    )
    waits = [f"; {label} waits for about {pace.requests[label]:,.0f}" for label in pace.requests if label == JOINT]
    least = f" and {plan.ramp.min_requests:,} requests{each} at least" if plan.ramp.min_requests else ""
    then = "promotion" if pace.for_share_ppm == PPM and index + 1 == count else f"step {index + 2}"
    line = (
        f"Step {index + 1} of {count}: {share_text(pace.stage.weight_ppm)}{each}, held for "
        f"{lasts_text(pace.stage.hold_ms)}{least}; then {then} when excluded: {asked}{''.join(waits)}."
    )
    return f"{line} Expected to last {lasts_text(pace.lasts_ms)}." if pace.lasts_ms is not None else line


def _picture(plan: Plan, paces: list[Pace]) -> str:
    each = len(plan.canaries)
    steps = [(pace.stage.weight_ppm * each, pace.lasts_ms or float(pace.stage.hold_ms)) for pace in paces]
    return f"The ramp: {ramp_picture(steps)}"


def _hours(plan: Plan) -> list[str]:
    start, hours = plan.ramp.start, hours_text(plan.ramp.windows, plan.ramp.holidays)
    begins = [f"Starts by itself on {start.shown()}; until then {plan.baseline} serves."] if start is not None else []
    shadow = plan.ramp.shadow
    if shadow is not None:
        what = f"copies of {share_text(shadow.weight)} of the requests go to {names_text(plan.canaries)}"
        begins.append(f"First {what}, whose answers nobody sees, for {lasts_text(shadow.hold)} at least.")
    asked = ["promotion" if share == PPM else share_text(share) for share in plan.ramp.confirm]
    begins += [f"Asks for a yes (serinus release confirm) before {names_text(tuple(asked))}."] if asked else []
    return [*begins, *([f"Opens more only at: {hours}. Outside, it holds, and rolls back."] if hours else [])]


def _limits(plan: Plan) -> list[str]:
    limits = plan.limits
    silent, undecided = limits.no_data, limits.inconclusive
    done = {"hold": "holds the share", "rollback": "rolls back"}
    return [
        "Rolled back at once: harm shown by a gate that rolls back, in every step and while paused.",
        f"No data for {lasts_text(silent.after)} {done[silent.action]}; "
        f"for {lasts_text(limits.no_data_rollback)} rolls back.",
        f"No PASS for {lasts_text(undecided.after)} after a step's hold {done[undecided.action]}.",
        f"Not promoted within {lasts_text(limits.max_duration)}: rolled back.",
    ]
