"""A plan in words: what it asks for, what that costs in requests and time, and what is wrong with it."""

from __future__ import annotations

import msgspec

from releases.budget import ALPHA_PASS, gate_weights
from releases.expected_requests import CV_ASSUMED, ERROR_RATE_ASSUMED, canary_requests, error_requests
from releases.harm import GRID
from releases.hooks import hook_lines, hook_warnings
from releases.joint_gate import ENOUGH
from releases.margins import margin_at
from releases.opening_hours import closed_ms_max, hours_text
from releases.ramp_picture import ramp_picture
from releases.ramps.adaptive import LEAP_FACTOR_MAX, fastest_way
from releases.ramps.ramp import stages_of
from releases.ramps.stage import Stage
from releases.seasons import season_lines, season_warnings
from releases.sentence import degradation
from releases.wording import duration_text, names_text, share_text
from schemas.plan import JOINT, Metric, Plan
from schemas.ramp import Adaptive
from schemas.units import PPM

REQUESTS_MANY = 100_000
"""More canary requests than this for one decision: the margin is worth a second thought."""

SILENT_GAPS = 10
"""With fewer than this many expected requests in ``no_data.after``, chance alone makes a healthy canary look silent."""


class Pace(msgspec.Struct, frozen=True):
    """One step as it is expected to go for a canary that is as good as the baseline.

    Parameters
    ----------
    for_share_ppm : what comes after it: the share of all canaries together, 1,000,000 for the promotion.
    requests : per gate, the requests of each canary that its evidence takes at this step's share.
    lasts_ms : expected length, at least the hold; None without a request rate.
    """

    stage: Stage
    for_share_ppm: int
    requests: dict[str, float]
    lasts_ms: float | None


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
    total = f"Promotion after {_time(holds_ms)} at the earliest"
    if rate_per_s is not None:
        total += f"; expected after {_time(_total_ms(paces))} at {rate_per_s:g} requests/s"
    lines += [_picture(plan, paces), f"{total}.", *_hours(plan), *_limits(plan), *hook_lines(plan)]
    lines += _warnings(plan, paces, rate_per_s)
    return lines


def paces_of(plan: Plan, rate_per_s: float | None) -> list[Pace]:
    """Every step with its expected requests and time. Evidence adds up: what earlier steps brought is not asked again.

    Promotion asks for PASS on the data since the last step as well, so nothing earlier counts there.
    """
    stages, paces = fastest_way(plan.ramp) if isinstance(plan.ramp, Adaptive) else stages_of(plan.ramp), list[Pace]()
    for index, stage in enumerate(stages):
        last = index + 1 == len(stages)
        for_share_ppm = PPM if last else min(PPM, stages[index + 1].weight_ppm * len(plan.canaries))
        requests = {gate.label: _needed(plan, gate, stage.weight_ppm, for_share_ppm) for gate in plan.gates}
        lasts_ms = None
        if rate_per_s is not None:
            before = [] if last else paces
            lasts_ms = max(
                _evidence_ms(plan, gate, before, at=stage, for_share_ppm=for_share_ppm, rate_per_s=rate_per_s)
                for gate in plan.gates
            )
            lasts_ms = max(float(stage.hold_ms), lasts_ms)
        paces.append(Pace(stage, for_share_ppm, requests, lasts_ms))
    return paces


def _evidence_ms(
    plan: Plan, gate: Metric, before: list[Pace], *, at: Stage, for_share_ppm: int, rate_per_s: float
) -> float:
    done = sum(
        _arriving(pace.stage, rate_per_s, pace.lasts_ms or 0.0)
        / _needed(plan, gate, pace.stage.weight_ppm, for_share_ppm)
        for pace in before
    )
    needed = _needed(plan, gate, at.weight_ppm, for_share_ppm)
    return max(0.0, 1.0 - done) * needed / _arriving(at, rate_per_s, 1.0)


def _needed(plan: Plan, gate: Metric, weight_ppm: int, for_share_ppm: int) -> float:
    """By what the plan counts for certain: requests, unless it says units."""
    counts = plan.independent or "request"
    return canary_requests(plan, gate, weight_ppm=weight_ppm, for_share_ppm=for_share_ppm, counts=counts)


def _needed_text(plan: Plan, gate: Metric, pace: Pace) -> str:
    text = f"about {pace.requests[gate.label]:,.0f} canary requests"
    if plan.independent is not None:
        return text
    weight_ppm, share_ppm = pace.stage.weight_ppm, pace.for_share_ppm
    by_unit = canary_requests(plan, gate, weight_ppm=weight_ppm, for_share_ppm=share_ppm, counts="unit")
    return f"{text}, {by_unit:,.0f} by unit"


def _arriving(stage: Stage, rate_per_s: float, lasts_ms: float) -> float:
    return rate_per_s * stage.weight_ppm / PPM * lasts_ms / 1_000


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
        f"the share, as cannot cost {budget} before the hold is over.",
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
    then = "promotion" if pace.for_share_ppm == PPM and index + 1 == count else f"step {index + 2}"
    line = (
        f"Step {index + 1} of {count}: {share_text(pace.stage.weight_ppm)}{each}, held for "
        f"{_time(pace.stage.hold_ms)}; then {then} when excluded: {asked}{''.join(waits)}."
    )
    return f"{line} Expected to last {_time(pace.lasts_ms)}." if pace.lasts_ms is not None else line


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
        begins.append(f"First {what}, whose answers nobody sees, for {_time(shadow.hold)} at least.")
    asked = ["promotion" if share == PPM else share_text(share) for share in plan.ramp.confirm]
    begins += [f"Asks for a yes (serinus release confirm) before {names_text(tuple(asked))}."] if asked else []
    return [*begins, *([f"Opens more only at: {hours}. Outside, it holds, and rolls back."] if hours else [])]


def _limits(plan: Plan) -> list[str]:
    limits = plan.limits
    silent, undecided = limits.no_data, limits.inconclusive
    done = {"hold": "holds the share", "rollback": "rolls back"}
    return [
        "Rolled back at once: harm shown by a gate that rolls back, in every step and while paused.",
        f"No data for {_time(silent.after)} {done[silent.action]}; for {_time(limits.no_data_rollback)} rolls back.",
        f"No PASS for {_time(undecided.after)} after a step's hold {done[undecided.action]}.",
        f"Not promoted within {_time(limits.max_duration)}: rolled back.",
    ]


def _warnings(plan: Plan, paces: list[Pace], rate_per_s: float | None) -> list[str]:
    limits, stages = plan.limits, [pace.stage for pace in paces]
    found: list[str] = []
    holds_ms = sum(stage.hold_ms for stage in stages) * max(1, len(plan.ramp.segments))
    holds_ms += plan.ramp.shadow.hold if plan.ramp.shadow is not None else 0
    if holds_ms >= limits.max_duration:
        limit = _time(limits.max_duration)
        found.append(f"the holds alone take {_time(holds_ms)} and max_duration is {limit}: this is never promoted")
    closed_ms = closed_ms_max(plan.ramp.windows)
    if closed_ms and holds_ms + closed_ms > limits.max_duration:
        closed, limit = _time(closed_ms), _time(limits.max_duration)
        found.append(f"nothing opens for up to {closed}, and max_duration {limit} goes on meanwhile")
    tails = {gate.name for gate in plan.gates if gate.level is not None}
    if any(gate.name == "latency_ms" and gate.kind == "mean" for gate in plan.gates) and "latency_ms" not in tails:
        found.append(
            "a gate on the mean of latency_ms does not exclude rare large outliers: 1 % of requests eleven times as "
            "slow raise the mean by 10 % only; gate its p99 as well"
        )
    if plan.advance == "strict" and stages[0].weight_ppm < 50_000:
        needed = max(max(pace.requests.values()) for pace in paces)
        found.append(
            f"strict asks for the full margin at every step: {needed:,.0f} canary requests already at "
            f"{share_text(stages[0].weight_ppm)}; population never risks more and opens small shares sooner"
        )
    for label, needed in paces[-1].requests.items():
        if needed > REQUESTS_MANY:
            found.append(f"{label}: its margin takes about {needed:,.0f} canary requests to promote; is it needed?")
    found += _warnings_of_rate(plan, paces, rate_per_s) if rate_per_s is not None else []
    found += [*_warnings_of_alpha(plan), *season_warnings(plan), *hook_warnings(plan)]
    if plan.independent != "request" and any(gate.kind == JOINT for gate in plan.gates):
        found.append(
            "joint counts requests one by one: where a user sends many that are alike it fires more often than alpha "
            "says"
        )
    if plan.independent == "request":
        found.append(
            "requests of one user are dependent: counted one by one, a gate errs more often than alpha says wherever a "
            "user sends many that are alike; leave independent out to count units"
        )
    return [f"Warning: {line}." for line in found]


def _warning_of_harm(plan: Plan, rate_per_s: float) -> list[str]:
    """However long one waits, the last share's hold may cost this much, by the bound that an equal canary gets."""
    ramp = plan.ramp
    if not isinstance(ramp, Adaptive):
        return []
    hold = rate_per_s * ramp.hold / 1_000 * ramp.to / PPM
    costs = [(hold + error_requests(margin, weight_ppm=int(ramp.to), plan=plan)) * margin for margin in GRID]
    least = min(costs) * len(plan.canaries)
    if least <= ramp.harm_budget:
        return []
    return [
        f"a step to {share_text(ramp.to)} for {_time(ramp.hold)} may cost {least:,.0f} extra failed requests at best, "
        f"and the harm budget is {ramp.harm_budget}: it is hardly ever taken"
    ]


def _warnings_of_rate(plan: Plan, paces: list[Pace], rate_per_s: float) -> list[str]:
    limits, found = plan.limits, _warning_of_harm(plan, rate_per_s)
    holds_ms = sum(pace.stage.hold_ms for pace in paces)
    total_ms = _total_ms(paces)
    if total_ms >= limits.max_duration > holds_ms:
        limit = _time(limits.max_duration)
        found.append(f"expected after {_time(total_ms)}, and max_duration {limit} rolls back what is not promoted")
    seen = _arriving(paces[0].stage, rate_per_s, limits.no_data.after)
    if seen < SILENT_GAPS:
        found.append(
            f"at {share_text(paces[0].stage.weight_ppm)} of {rate_per_s:g}/s only {seen:.2g} requests come in "
            f"{_time(limits.no_data.after)}: a healthy canary will look silent; start higher or raise no_data.after"
        )
    for index, pace in enumerate(paces):
        if (pace.lasts_ms or 0.0) - pace.stage.hold_ms >= limits.inconclusive.after:
            waited, limit = _time(pace.lasts_ms), _time(limits.inconclusive.after)
            found.append(f"step {index + 1} is expected to last {waited}, and inconclusive.after is {limit}")
    return found


def _warnings_of_alpha(plan: Plan) -> list[str]:
    if plan.alpha <= ALPHA_PASS * 2:
        return []
    return [f"alpha {plan.alpha:g} rolls back up to 1 in {1 / plan.alpha:.2g} healthy releases"]


def _total_ms(paces: list[Pace]) -> float:
    return sum(pace.lasts_ms or 0.0 for pace in paces)


def _time(duration_ms: float | None) -> str:
    """Rounded up to whole seconds from one second on: nobody plans with milliseconds."""
    whole_ms = round(duration_ms or 0.0)
    return duration_text(whole_ms if whole_ms < 1_000 else -(-whole_ms // 1_000) * 1_000)
