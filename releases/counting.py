"""What one observation is: a unit, whose requests are dependent, or a request. Decided once for a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from detectors.blocks import Block
from detectors.unit_batches import with_unit
from schemas.plan import Plan

Counts = Literal["unit", "request"]

CARRIED_MIN: Final = 0.9
"""Units are counted when at least this part of the first requests carries one."""

CARRIED_LEAST: Final = 0.5
"""With less than this part of a version's requests carrying a unit nobody knows how dependent they are: NO_DATA."""


class Counting(msgspec.Struct, frozen=True):
    """What is counted, and how many requests carried a unit.

    Parameters
    ----------
    counts : None until the first block has closed, if the plan leaves it open.
    carried : version to (requests with a unit, requests) in closed blocks.
    """

    counts: Counts | None
    carried: dict[str, tuple[int, int]] = {}

    @property
    def units(self) -> bool:
        """Whether units are counted."""
        return self.counts == "unit"


def start_counting(plan: Plan) -> Counting:
    """As the plan says, or open.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> start_counting(parse_plan(EXAMPLE)).counts is None
    True
    """
    return Counting(plan.independent)


def count(counting: Counting, versions: Sequence[str], closed: Sequence[Block]) -> Counting:
    """After the blocks that closed at one moment.

    What the plan leaves open is decided by the very first blocks that have requests, and never again: by whether
    events carry units, before any evidence, so that no outcome has a say in it.

    Parameters
    ----------
    counting : is not changed.
    versions : of the release.
    closed : at least one block.
    """
    carried = dict(counting.carried)
    for version in versions:
        found, requests = with_unit(closed, version)
        before = carried.get(version, (0, 0))
        carried[version] = (before[0] + found, before[1] + requests)
    counts, requests = counting.counts, sum(one[1] for one in carried.values())
    if counts is None and requests:
        counts = "unit" if sum(one[0] for one in carried.values()) >= CARRIED_MIN * requests else "request"
    return Counting(counts, carried)


def answered(counting: Counting, version: str) -> int:
    """Requests that a version has answered, in closed blocks."""
    return counting.carried.get(version, (0, 0))[1]


def uncounted(counting: Counting, versions: Sequence[str]) -> str | None:
    """Why units cannot be counted, in words; None when they can, or requests are counted.

    >>> uncounted(Counting("unit", {"v1": (90, 100), "v2": (2, 10)}), ("v1", "v2"))
    'units are counted, and only 2 of 10 requests of v2 carry one: have its events carry unit, or release with \
independent: request'
    """
    if not counting.units:
        return None
    for version in versions:
        found, requests = counting.carried.get(version, (0, 0))
        if found < CARRIED_LEAST * requests:
            how_many = f"only {found:,} of {requests:,} requests" if found else f"none of {requests:,} requests"
            return (
                f"units are counted, and {how_many} of {version} carr{'y' if found else 'ies'} one: have its events "
                "carry unit, or release with independent: request"
            )
    return None
