"""User groups: each takes the ramp's steps in its turn, and each has to show that the canary is not worse for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from detectors.blocks import Block
from releases.counting import Counting
from releases.gates import Gate, Known, gate_of
from releases.release_state import Release
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.units import PPM


class Group(msgspec.Struct, frozen=True, eq=False):
    """What is known of one user group: its requests, of all versions, and the gates' evidence from it alone."""

    requests: int
    known: dict[str, dict[str, Known]]


class GroupsAsked(NamedTuple):
    """A step of a release that opens by user group.

    Parameters
    ----------
    shares_ppm : of each group after the step, all canaries together.
    shown : how many groups the canary has been shown to so far; the others have no evidence to ask for.
    """

    shares_ppm: tuple[int, ...]
    shown: int


def asked_of(release: Release) -> GroupsAsked | None:
    """What the next step of a release gives to each group; None when it does not open by group."""
    groups = len(release.plan.ramp.segments)
    if not groups:
        return None
    shown = release.group + 1
    if release.opened >= len(release.stages) and release.next_group == release.group:
        return GroupsAsked((PPM,) * groups, shown)
    done = min(PPM, release.stages[-1].weight_ppm * len(release.running))
    shares = [done] * release.next_group + [release.next_share_ppm]
    return GroupsAsked((*shares, *[0] * (groups - len(shares))), shown)


def gates_by_group(plan: Plan) -> tuple[Metric, ...]:
    """The gates that every group has to pass; the joint one excludes nothing and speaks of all requests alone."""
    return tuple(gate for gate in plan.gates if gate.name != "joint")


def start_groups(plan: Plan, counting: Counting) -> tuple[Group, ...]:
    """Nothing known of any group; empty for a release that does not open by group."""
    known = {
        c: {gate.label: _gate(plan, gate, counting).start() for gate in gates_by_group(plan)} for c in plan.canaries
    }
    return tuple(Group(0, known) for _ in plan.ramp.segments)


def begin_step(plan: Plan, groups: tuple[Group, ...], counting: Counting) -> tuple[Group, ...]:
    """The shares have changed: promotion will ask for the data since now as well."""
    return tuple(
        Group(
            group.requests,
            {
                canary: {g.label: _gate(plan, g, counting).begin_step(known[g.label]) for g in gates_by_group(plan)}
                for canary, known in group.known.items()
            },
        )
        for group in groups
    )


def observe(plan: Plan, groups: tuple[Group, ...], closed: Sequence[Block], counting: Counting) -> tuple[Group, ...]:
    """Add the blocks that closed at one moment, each to the group of its segment."""
    return tuple(
        _observed(plan, group, [block for block in closed if group_of(plan, block.segment) == index], counting)
        for index, group in enumerate(groups)
    )


def group_of(plan: Plan, segment: str) -> int:
    """The group of a segment: the one that names it, or the last.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> plan = parse_plan(EXAMPLE.replace("stages,", "stages, segments: [[internal], [beta, friends], ['*']],"))
    >>> [group_of(plan, segment) for segment in ("internal", "friends", "eu", "")]
    [0, 1, 2, 2]
    """
    named = plan.ramp.segments[:-1]
    return next((index for index, group in enumerate(named) if segment in group), len(named))


def allotted_ppm(plan: Plan, gate: Metric, groups: Sequence[Group], asked: GroupsAsked) -> list[int]:
    """The share for which each shown group's own evidence must PASS, so that the step is safe for all users together.

    Let a_s be group s's share of all requests times its share of canaries after the step. All users together fare worse
    by Σ a_s Δ_s at the most, and that must not exceed the margin. Group s is asked to exclude the margin m_s, with
    Σ a_s m_s = margin. If the sum of harms is above the margin, some Δ_s is above its m_s, and PASS needs *each* group:
    it errs with at most the chance that this one group errs, so no alpha is divided. m_s is in proportion to 1/√a_s: a
    group's requests are in proportion to a_s and the need to 1/m_s², so all groups are ready at about the same time.
    As margins are asked for by shares (margin / share), the answer is the share √a_s Σ_t √a_t.

    A quantile has no such arithmetic: its gate is asked about the group's own users at the group's own share, which
    bounds the tail of all when it holds in each.

    Parameters
    ----------
    groups : with the requests that their shares are estimated from; unknown shares count as the whole.
    """
    total = sum(group.requests for group in groups)
    parts = [group.requests / total if total else 1.0 for group in groups]
    roots = [sqrt(part * share / PPM) for part, share in zip(parts, asked.shares_ppm, strict=True)]
    if gate.level is not None:
        return list(asked.shares_ppm[: asked.shown])
    return [max(1, round(PPM * root * sum(roots))) for root in roots[: asked.shown]]


def _gate(plan: Plan, metric: Metric, counting: Counting) -> Gate:
    return gate_of(plan, metric, "unit" if counting.units else "request")


def _observed(plan: Plan, group: Group, closed: Sequence[Block], counting: Counting) -> Group:
    if not closed:
        return group
    requests = sum(arm.requests.n for block in closed for arm in block.arms.values())
    known = {
        canary: {
            g.label: _gate(plan, g, counting).observe(known[g.label], closed, canary) for g in gates_by_group(plan)
        }
        for canary, known in group.known.items()
    }
    return Group(group.requests + requests, known)
