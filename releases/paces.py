"""How each step of a plan is expected to go: requests and time, for a canary that is as good as the baseline."""

from __future__ import annotations

import msgspec

from releases.expected_requests import canary_requests
from releases.ramps.adaptive import fastest_way
from releases.ramps.ramp import stages_of
from releases.ramps.stage import Stage
from releases.wording import duration_text
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM


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


def paces_of(plan: Plan, rate_per_s: float | None) -> list[Pace]:
    """Every step with its expected requests and time. Evidence adds up: what earlier steps brought is not asked again.

    Promotion asks for PASS on the data since the last step as well, so nothing earlier counts there.
    """
    ramp, paces = plan.ramp, list[Pace]()
    stages = fastest_way(ramp, len(plan.canaries)) if isinstance(ramp, Adaptive) else stages_of(ramp)
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
            at_least_ms = 1_000 * ramp.min_requests / arriving(stage, rate_per_s, 1_000.0)
            lasts_ms = max(float(stage.hold_ms), lasts_ms, at_least_ms)
        paces.append(Pace(stage, for_share_ppm, requests, lasts_ms))
    return paces


def _evidence_ms(
    plan: Plan, gate: Metric, before: list[Pace], *, at: Stage, for_share_ppm: int, rate_per_s: float
) -> float:
    done = sum(
        arriving(pace.stage, rate_per_s, pace.lasts_ms or 0.0)
        / _needed(plan, gate, pace.stage.weight_ppm, for_share_ppm)
        for pace in before
    )
    needed = _needed(plan, gate, at.weight_ppm, for_share_ppm)
    return max(0.0, 1.0 - done) * needed / arriving(at, rate_per_s, 1.0)


def _needed(plan: Plan, gate: Metric, weight_ppm: int, for_share_ppm: int) -> float:
    """By what the plan counts for certain: requests, unless it says units."""
    counts = plan.independent or "request"
    return canary_requests(plan, gate, weight_ppm=weight_ppm, for_share_ppm=for_share_ppm, counts=counts)


def arriving(stage: Stage, rate_per_s: float, lasts_ms: float) -> float:
    """Requests of one canary in a stage that lasts this long, with this many of the whole service a second."""
    return rate_per_s * stage.weight_ppm / PPM * lasts_ms / 1_000


def total_ms(paces: list[Pace]) -> float:
    """How long all steps are expected to take together; 0 without a request rate."""
    return sum(pace.lasts_ms or 0.0 for pace in paces)


def lasts_text(duration_ms: float | None) -> str:
    """Rounded up to whole seconds from one second on: nobody plans with milliseconds."""
    whole_ms = round(duration_ms or 0.0)
    return duration_text(whole_ms if whole_ms < 1_000 else -(-whole_ms // 1_000) * 1_000)
