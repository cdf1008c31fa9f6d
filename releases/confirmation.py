"""Confirmation: the shares that a plan does not let a canary reach without somebody's yes."""

from __future__ import annotations

from releases.release_state import Release
from schemas.units import PPM


def awaited_ppm(release: Release) -> int | None:
    """The share whose confirmation the next step needs; None when it needs none.

    A share of ``ramp.confirm`` stands before the step that reaches it; 100 % stands before promotion. Each user group
    takes the ramp's steps anew, and each of them is asked about anew. Several shares within one step are one question.
    """
    reached = [share for share in _open(release) if share <= release.next_weight_ppm]
    return max(reached, default=None)


def below_ppm(release: Release) -> int:
    """The next step must stay below this share; more than everything when nothing has to be confirmed."""
    return min(_open(release), default=PPM + 1)


def _open(release: Release) -> list[int]:
    """The shares above the present one that nobody has confirmed."""
    present = release.canary_weights_ppm.values() if release.next_group == release.group else (0,)
    said = release.confirmed_ppm if release.confirmed_group == release.next_group else 0
    passed = max(said, *present)
    return [int(share) for share in release.plan.ramp.confirm if share > passed]
