"""The harm budget of an adaptive ramp: how many extra failed requests there may have been, and what a step may add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import RateBatch, rate_batch
from detectors.blocks import Block
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from detectors.summaries.summary import Summary
from releases.budget import ALPHA_PASS
from releases.wording import share_text
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM

GRID = tuple(float(margin) for margin in np.geomspace(0.0002, 0.99, 48))
"""Differences of error rates that are bounded at once; 20 % apart."""

BOUND = Margin2x2(GRID)


class HarmState(msgspec.Struct, frozen=True, eq=False):
    """What is known of the harm of each canary; empty unless the ramp is adaptive.

    Parameters
    ----------
    bounds : canary → evidence against each difference of error rates.
    requests : canary → its requests since the start.
    compared, extra : canary → its requests in blocks that have a baseline, and how many more of them failed than would
        have at the baseline's rate of the same block. Negative where fewer did.
    seen, since_ms, until_ms : requests of all versions since the step began, and the stretch of log time they came in.
    """

    bounds: dict[str, Margin2x2State] = {}
    requests: dict[str, int] = {}
    compared: dict[str, float] = {}
    extra: dict[str, float] = {}
    seen: int = 0
    since_ms: int | None = None
    until_ms: int | None = None


def start_harm(plan: Plan) -> HarmState:
    """Nothing known."""
    if not isinstance(plan.ramp, Adaptive):
        return HarmState()
    none = dict.fromkeys(plan.canaries, 0.0)
    return HarmState(dict.fromkeys(plan.canaries, BOUND.start()), dict.fromkeys(plan.canaries, 0), none, none)


def begin_step(harm: HarmState) -> HarmState:
    """The share has changed: the traffic is measured anew, the harm adds up."""
    return msgspec.structs.replace(harm, seen=0, since_ms=harm.until_ms)


def observe(
    plan: Plan,
    harm: HarmState,
    beat: Mapping[tuple[str, str], Summary],
    closed: Sequence[Block],
    *,
    beat_end_ms: int,
) -> HarmState:
    """Add one beat of the plan's versions and the blocks that it closed."""
    if not harm.bounds:
        return harm
    requests = {
        c: n + sum(s.requests.n for (version, _), s in beat.items() if version == c) for c, n in harm.requests.items()
    }
    bounds, compared, extra = harm.bounds, harm.compared, harm.extra
    if closed:
        batches = {
            canary: rate_batch(closed, lambda arm: arm.requests, baseline=plan.baseline, canary=canary)
            for canary in bounds
        }
        bounds = {canary: BOUND.observe(bound, batches[canary]) for canary, bound in bounds.items()}
        pairs = {canary: batch.pairs for canary, batch in batches.items()}
        # A state that a version before this one has stored does not have them: they count from here then.
        compared = {canary: compared.get(canary, 0.0) + float(pair.n_c.sum()) for canary, pair in pairs.items()}
        extra = {canary: extra.get(canary, 0.0) + _extra(pair) for canary, pair in pairs.items()}
    since_ms = beat_end_ms if harm.since_ms is None else harm.since_ms
    seen = harm.seen + sum(summary.requests.n for summary in beat.values())
    seen = seen if beat_end_ms > since_ms else 0
    return HarmState(bounds, requests, compared, extra, seen, since_ms, beat_end_ms)


def _extra(pairs: RateBatch) -> float:
    """Failed requests of the canary beyond what the baseline's rate of each block would have given."""
    return float((pairs.k_c - pairs.n_c * pairs.k_b / pairs.n_b).sum())


def smallest_excluded(evidence: Floats) -> float:
    """The smallest difference of the grid that is excluded together with all larger ones; 1 when none is.

    As an upper bound of the true difference it is right at every look at once with a chance of 1 - ``ALPHA_PASS``: it
    errs only when the largest difference of the grid that is not above the truth is excluded.

    Parameters
    ----------
    evidence : [G] logs of the evidence against each difference of :data:`GRID`.
    """
    kept = np.flatnonzero(evidence < log(1 / ALPHA_PASS))
    first = int(kept[-1]) + 1 if kept.size else 0
    return GRID[first] if first < len(GRID) else 1.0


def worse_at_most(harm: HarmState, canary: str) -> float:
    """The upper bound of the canary's error rate minus the baseline's."""
    return smallest_excluded(BOUND.excluded(harm.bounds[canary])[0])


class Reckoning(NamedTuple):
    """Extra failed requests of all canaries together, by the upper bounds.

    Parameters
    ----------
    spent : since the start.
    per_share : what the next step may add before its hold is over, for a share of 1 of each running canary; the traffic
        is expected to be as it was since the present step began. None before any has been seen.
    """

    spent: float
    per_share: float | None

    def after(self, weight_ppm: int) -> float | None:
        """What may have been spent at the end of the next step's hold."""
        return None if self.per_share is None else self.spent + self.per_share * weight_ppm / PPM


def reckon(plan: Plan, harm: HarmState, running: Sequence[str]) -> Reckoning:
    """What the harm so far and that of a next step may amount to.

    Parameters
    ----------
    plan : whose ramp is adaptive.
    running : the canaries that the ramp moves.
    """
    bounds = {canary: worse_at_most(harm, canary) for canary in harm.bounds}
    so_far = sum(n * bounds[canary] for canary, n in harm.requests.items())
    expected = expected_requests(plan, harm)
    if expected is None:
        return Reckoning(so_far, None)
    return Reckoning(so_far, expected * sum(bounds[canary] for canary in running))


def expected_requests(plan: Plan, harm: HarmState) -> float | None:
    """Requests of all versions within a hold, as they came since the step began; None before any has been seen."""
    if harm.since_ms is None or harm.until_ms is None or not harm.seen or not isinstance(plan.ramp, Adaptive):
        return None
    return harm.seen * plan.ramp.hold / (harm.until_ms - harm.since_ms)


def shortage(plan: Plan, harm: HarmState, running: Sequence[str], for_share_ppm: int) -> str | None:
    """Why the harm budget does not allow a step, in words; None when it does, or when nobody limits it.

    Parameters
    ----------
    for_share_ppm : all canaries together after the step; the promotion is limited by the margins alone.
    """
    if not isinstance(plan.ramp, Adaptive) or for_share_ppm >= PPM:
        return None
    budget, weight_ppm = plan.ramp.harm_budget, for_share_ppm // len(running)
    reckoned = reckon(plan, harm, running)
    after = reckoned.after(weight_ppm)
    if after is None:
        return "the harm of a step is not known before any traffic has been seen"
    if after <= budget:
        return None
    return (
        f"{_spent_text(reckoned, budget)}, up to {after:.0f} after a step to {share_text(weight_ppm)}: not yet opened"
    )


def spent_text(plan: Plan, harm: HarmState, running: Sequence[str]) -> str | None:
    """How much of the harm budget may be spent, in words; None without one."""
    if not isinstance(plan.ramp, Adaptive):
        return None
    return _spent_text(reckon(plan, harm, running), plan.ramp.harm_budget)


def _spent_text(reckoned: Reckoning, budget: int) -> str:
    return f"harm budget: up to {reckoned.spent:.1f} of {budget} extra failed requests so far"
