"""What is wrong with a plan that is no mistake in its text: too slow, too small, too much."""

from __future__ import annotations

from releases.budget import ALPHA_PASS
from releases.expected_requests import error_requests
from releases.harm import GRID
from releases.hooks import hook_warnings
from releases.opening_hours import closed_ms_max
from releases.paces import Pace, arriving, lasts_text, total_ms
from releases.seasons import season_warnings
from releases.wording import share_text
from schemas.metric import JOINT
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM

REQUESTS_MANY = 100_000
"""More canary requests than this for one decision: the margin is worth a second thought."""

SILENT_GAPS = 10
"""With fewer than this many expected requests in ``no_data.after``, chance alone makes a healthy canary look silent."""


def plan_warnings(plan: Plan, paces: list[Pace], rate_per_s: float | None) -> list[str]:
    """One line for each; none is a reason to refuse the plan."""
    limits, stages = plan.limits, [pace.stage for pace in paces]
    found: list[str] = []
    holds_ms = sum(stage.hold_ms for stage in stages) * max(1, len(plan.ramp.segments))
    holds_ms += plan.ramp.shadow.hold if plan.ramp.shadow is not None else 0
    if holds_ms >= limits.max_duration:
        limit = lasts_text(limits.max_duration)
        found.append(f"the holds alone take {lasts_text(holds_ms)} and max_duration is {limit}: this is never promoted")
    closed_ms = closed_ms_max(plan.ramp.windows)
    if closed_ms and holds_ms + closed_ms > limits.max_duration:
        closed, limit = lasts_text(closed_ms), lasts_text(limits.max_duration)
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


def _warning_of_harm(plan: Plan, paces: list[Pace], rate_per_s: float) -> list[str]:
    """However long one waits, the last share's hold may cost this much, by the bound that an equal canary gets.

    It is opened from the share before it, and not before the gates' evidence has come in there.
    """
    ramp = plan.ramp
    if not isinstance(ramp, Adaptive):
        return []
    hold, before = rate_per_s * ramp.hold / 1_000 * ramp.to / PPM, paces[-2]
    seen = [error_requests(difference, weight_ppm=before.stage.weight_ppm, plan=plan) for difference in GRID]
    least_seen = min(max(before.requests.values()), max(seen))
    costs = [(hold + n) * difference for difference, n in zip(GRID, seen, strict=True) if n >= least_seen]
    least = min(costs) * len(plan.canaries)
    if least <= ramp.harm_budget:
        return []
    return [
        f"a step to {share_text(ramp.to)} for {lasts_text(ramp.hold)} may cost {least:,.0f} extra failed requests at "
        f"best, and the harm budget is {ramp.harm_budget}: it is hardly ever taken"
    ]


def _warnings_of_rate(plan: Plan, paces: list[Pace], rate_per_s: float) -> list[str]:
    limits, found = plan.limits, _warning_of_harm(plan, paces, rate_per_s)
    holds_ms = sum(pace.stage.hold_ms for pace in paces)
    expected_ms = total_ms(paces)
    if expected_ms >= limits.max_duration > holds_ms:
        limit = lasts_text(limits.max_duration)
        found.append(
            f"expected after {lasts_text(expected_ms)}, and max_duration {limit} rolls back what is not promoted"
        )
    seen = arriving(paces[0].stage, rate_per_s, limits.no_data.after)
    if seen < SILENT_GAPS:
        found.append(
            f"at {share_text(paces[0].stage.weight_ppm)} of {rate_per_s:g}/s only {seen:.2g} requests come in "
            f"{lasts_text(limits.no_data.after)}: a healthy canary will look silent; start higher or raise "
            "no_data.after"
        )
    for index, pace in enumerate(paces):
        if (pace.lasts_ms or 0.0) - pace.stage.hold_ms >= limits.inconclusive.after:
            waited, limit = lasts_text(pace.lasts_ms), lasts_text(limits.inconclusive.after)
            found.append(f"step {index + 1} is expected to last {waited}, and inconclusive.after is {limit}")
    return found


def _warnings_of_alpha(plan: Plan) -> list[str]:
    if plan.alpha <= ALPHA_PASS * 2:
        return []
    return [f"alpha {plan.alpha:g} rolls back up to 1 in {1 / plan.alpha:.2g} healthy releases"]
