"""What a PASS does not open yet: too few requests since the step began, or more harm than the budget has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detectors.summaries.summary import Summary
from releases import harm as harm_budget
from releases.harm import HarmState
from schemas.plan import Plan


def count(plan: Plan, since_step: Mapping[str, int], beat: Mapping[tuple[str, str], Summary]) -> dict[str, int]:
    """The requests of each canary since the step began, with those of one more beat; empty when nobody asks for them.

    Parameters
    ----------
    since_step : canary → its requests before.
    beat : (version, segment) → what arrived of it.
    """
    if not plan.ramp.min_requests:
        return {}
    return {
        canary: since_step.get(canary, 0) + sum(s.requests.n for (version, _), s in beat.items() if version == canary)
        for canary in plan.canaries
    }


def held_back(
    plan: Plan, since_step: Mapping[str, int], harm: HarmState, running: Sequence[str], for_share_ppm: int
) -> str | None:
    """Why a PASS opens nothing yet, in words; None when nothing but the evidence was asked for.

    Evidence adds up over the steps, so a step could be over after its time although hardly anything has come in: that
    much has to be seen *at* its share is a rule of its own, for canaries that only break under load.

    Parameters
    ----------
    running : the canaries that the ramp moves.
    for_share_ppm : all canaries together after the step; 1,000,000 for the promotion.
    """
    least = plan.ramp.min_requests
    for canary in running:
        if since_step.get(canary, 0) < least:
            return f"{canary} has answered {since_step.get(canary, 0):,} of at least {least:,} requests in this step"
    return harm_budget.shortage(plan, harm, running, for_share_ppm)
