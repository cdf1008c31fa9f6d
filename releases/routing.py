"""From the state of a release to the route that routers follow."""

from __future__ import annotations

from collections.abc import Mapping

from releases.release_state import Release
from schemas.plan import Plan
from schemas.route import LEASE_MS, RENEW_MS, Route
from schemas.units import PPM

UNOBSERVED_AFTER_MS = LEASE_MS // 2
"""Without a word from the judge for this long a canary counts as unobserved, and its lease is not renewed.

Its last renewal can then be at most this old, so the routers are back on the fallback ``LEASE_MS + LEASE_MS / 2`` after
the last evidence at the latest.
"""


def weights_of(plan: Plan, canary_weights_ppm: Mapping[str, int]) -> dict[str, int]:
    """All shares: the canaries' as given, the baseline has the remainder, zeros left out.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> weights_of(parse_plan(EXAMPLE), {"v2": 50_000})
    {'v1': 950000, 'v2': 50000}
    """
    weights = {plan.baseline: PPM - sum(canary_weights_ppm.values())}
    weights |= {version: canary_weights_ppm[version] for version in plan.canaries if version in canary_weights_ppm}
    return {version: weight for version, weight in weights.items() if weight}


def observed(release: Release, *, now_ms: int) -> bool:
    """Whether the route may be sent: a canary with traffic never runs unobserved.

    A worker that still ticks while ingest is dead would otherwise renew the lease for ever. A judge that speaks but has
    seen no requests is another matter: that is evidence of silence, and the plan's no_data rules deal with it.
    """
    if not release.active or not release.canaries_served:
        return True
    return now_ms - release.judged_ms <= UNOBSERVED_AFTER_MS


def renewal_due(release: Release, *, now_ms: int) -> bool:
    """Whether the route in force is to be sent again now."""
    return now_ms - release.published_ms >= RENEW_MS and observed(release, now_ms=now_ms)


def route_of(release: Release, *, now_ms: int) -> Route:
    """The route that the release stands for, issued now.

    The fallback is the baseline until the release has promoted another version: a router whose lease runs out later
    must not bring back what was replaced. Versions without traffic are named with 0: the splitter gives every canary
    its home by the names that it sees in a route, so a name that came later would move users of the others.
    """
    named = (release.plan.baseline, *release.plan.canaries)
    return Route(
        service=release.plan.service,
        release_id=release.id,
        epoch=release.epoch,
        state=release.state,
        weights_ppm={version: release.everyone_ppm.get(version, 0) for version in named},
        fallback=release.promoted or release.plan.baseline,
        salt=release.salt,
        issued_at_ms=now_ms,
        rules=release.rules,
        segments=release.plan.segments,
        shadow_ppm=release.shadow_ppm,
    )
