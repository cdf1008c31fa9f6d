"""Plans as code: what has to be done so that what runs is what a set of plans says. Nothing is done here."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import NamedTuple

from schemas.decision import Decision, State, plan_hash
from schemas.plan import Plan


class Deed(enum.Enum):
    """What is to be done about one service."""

    START = "start"
    REPLACE = "replace"
    ABORT = "abort"
    KEEP = "keep"
    """What runs, or was promoted last, is this very plan."""
    NOT_RETRIED = "not_retried"
    """This very plan was rolled back or aborted: nothing is tried twice by itself."""
    UNPLANNED = "unplanned"
    """Something runs that no plan asks for: said, and left alone."""

    @property
    def sends(self) -> bool:
        """Whether it takes a command."""
        return self in {Deed.START, Deed.REPLACE, Deed.ABORT}

    @property
    def differs(self) -> bool:
        """Whether what runs is not what the plans say."""
        return self.sends or self is Deed.NOT_RETRIED


class Change(NamedTuple):
    """One service: what to do, and what that was concluded from.

    Parameters
    ----------
    plan : as wanted; None where no plan asks for the service.
    latest : the newest decision; None before the first release.
    epoch : to be expected by the command: if another one is the newest by then, nothing is done.
    """

    service: str
    deed: Deed
    plan: Plan | None
    latest: Decision | None
    epoch: int


def reconcile(
    wanted: Collection[Plan],
    latest: Mapping[str, Decision],
    *,
    epochs: Mapping[str, int] | None = None,
    prune: bool = False,
    retry: bool = False,
) -> list[Change]:
    """What has to be done, service by service, in the order of their names.

    Parameters
    ----------
    wanted : plans, at most one for each service.
    latest : by service its newest decision; services that nobody ever released are left out.
    epochs : by service the newest epoch that is known by other means, where no decision is left.
    prune : abort what runs without a plan.
    retry : start also what was rolled back or aborted with the same plan.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> [change.deed.value for change in reconcile([parse_plan(EXAMPLE)], {})]
    ['start']
    """
    plans = {plan.service: plan for plan in wanted}
    running = {service for service, decision in latest.items() if not decision.state.final}
    changes = []
    for service in sorted(plans.keys() | running):
        plan, found = plans.get(service), latest.get(service)
        epoch = found.epoch if found is not None else (epochs or {}).get(service, 0)
        unplanned = Deed.ABORT if prune else Deed.UNPLANNED
        deed = unplanned if plan is None else _deed(plan, found, retry=retry)
        changes.append(Change(service, deed, plan, found, epoch))
    return changes


def _deed(plan: Plan, latest: Decision | None, *, retry: bool) -> Deed:
    if latest is None:
        return Deed.START
    same = latest.plan_hash == plan_hash(plan)
    if not latest.state.final:
        return Deed.KEEP if same else Deed.REPLACE
    if not same:
        return Deed.START
    if latest.state is State.PROMOTED:
        return Deed.KEEP
    return Deed.START if retry else Deed.NOT_RETRIED
