"""Shadowing: before its first step a canary may get copies of requests, whose answers nobody sees."""

from __future__ import annotations

from typing import Any

import msgspec

from releases.release_state import Release
from releases.routing import weights_of
from releases.wording import names_text, share_text, weights_text
from schemas.plan import Plan


def first_step(release: Release) -> Release:
    """A release as it begins: with copies where the plan wants them first, else at the ramp's first share."""
    plan, shadows = release.plan, release.plan.ramp.shadow is not None
    weights = {} if shadows else dict.fromkeys(release.running, release.stages[0].weight_ppm)
    changes: dict[str, Any] = {
        "weights_ppm": weights_of(plan, weights), "opened": 0 if shadows else 1, "shadowing": shadows
    }  # fmt: skip
    return msgspec.structs.replace(release, **changes)


def shown_text(release: Release) -> str:
    """What a release shows its canaries: a share of the requests, or copies of them."""
    if not release.shadow_ppm:
        return weights_text(release.running_weights_ppm)
    share = share_text(next(iter(release.shadow_ppm.values())))
    each = " each" if len(release.shadow_ppm) > 1 else ""
    return f"{names_text(tuple(release.shadow_ppm))} with copies of {share} of the requests{each}"


def as_tried(plan: Plan) -> Plan:
    """A plan for traffic that is made up or recorded: nobody is there to copy requests, or to be asked for a yes."""
    return msgspec.structs.replace(plan, ramp=msgspec.structs.replace(plan.ramp, confirm=(), shadow=None))
