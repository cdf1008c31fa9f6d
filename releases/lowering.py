"""Down again: an adaptive ramp gives back a share whose harm has turned out to be more than the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from releases.harm import HarmState, expected_requests
from releases.release_state import Release
from releases.wording import duration_text, share_text
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM


class Lowering(msgspec.Struct, frozen=True):
    """The share of each canary that the budget still has room for, and why the present one is too much."""

    to_ppm: int
    reason: str


class Likely(NamedTuple):
    """Extra failed requests as they are most likely, not at the worst.

    Parameters
    ----------
    so_far : in all blocks in which a canary can be compared.
    per_share : what the next hold adds at a share of 1 of each running canary.
    """

    so_far: float
    per_share: float

    def after(self, weight_ppm: int) -> float:
        """At the end of another hold."""
        return self.so_far + self.per_share * weight_ppm / PPM


def lowering(release: Release, harm: HarmState) -> Lowering | None:
    """Where to go down to; None when the present share is within the budget, or nobody limits it.

    What opens a share is the worst that is plausible; what closes it again is what has most likely happened, so that a
    healthy canary is not lowered for being little known. Of the lower shares it is the largest with which another hold
    is within the budget, and the ramp's first when there is none.
    """
    ramp, present_ppm = release.plan.ramp, max(release.canary_weights_ppm.values())
    if not isinstance(ramp, Adaptive) or not present_ppm:
        return None
    likely = likely_harm(release.plan, harm, release.running)
    if likely is None or likely.after(present_ppm) <= ramp.harm_budget:
        return None
    below = [rung.weight_ppm for rung in release.stages if rung.weight_ppm < present_ppm]
    if not below:
        return None
    to_ppm = next((share for share in reversed(below) if likely.after(share) <= ramp.harm_budget), below[0])
    reason = (
        f"harm budget: most likely {likely.so_far:.0f} of {ramp.harm_budget} extra failed requests so far, and "
        f"{likely.after(present_ppm):.0f} after another {duration_text(ramp.hold)} at {share_text(present_ppm)}"
    )
    return Lowering(to_ppm, reason)


def likely_harm(plan: Plan, harm: HarmState, running: Sequence[str]) -> Likely | None:
    """The extra failed requests of all canaries, by the difference of the rates within blocks; None without traffic."""
    expected = expected_requests(plan, harm)
    if expected is None:
        return None
    rates = [harm.extra[c] / harm.compared[c] for c in running if harm.compared.get(c)]
    return Likely(sum(harm.extra.values()), expected * max(0.0, sum(rates)))
