"""What :mod:`tests.releases.safety` keeps of a release: what its decisions and the inputs before them tell."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from releases.machine_io import Judged
from releases.ramps.ramp import stages_of
from schemas.command import Command
from schemas.decision import Decision, State
from schemas.opening_hours import Window
from schemas.plan import Plan
from schemas.ramp import Ramp
from schemas.units import PPM

Shares = dict[str, dict[str, int]]
"""Of each user group, and of everyone else by the name ``*``: what each canary gets, zeros left out."""


class Followed:
    """One release, as its decisions and the inputs before them tell it."""

    def __init__(self, start: Command, at_ms: int) -> None:
        assert start.plan is not None
        self.start, self.plan = start, start.plan
        self.state = State.SCHEDULED
        self.shares: Shares = {}
        self.step_ms = self.judged_ms = at_ms
        self.seen_ms: dict[str, int] = {}
        self.judged: Judged | None = None
        self.shadows = False
        self.confirmed: dict[str, int] = {}
        self.stopped: set[str] = set()


def group_names(plan: Plan) -> list[str]:
    """The user groups in the plan's order, everyone else last."""
    return [", ".join(group) for group in plan.ramp.segments] or ["*"]


def present_of(release: Followed) -> tuple[str, dict[str, int]]:
    """The group that is taking the ramp's steps, and its shares; of one that gets copies, no share of anything."""
    names = group_names(release.plan)
    opened = [name for name in names if release.shares.get(name)]
    if not opened:
        return names[0], dict.fromkeys((v for v in release.plan.canaries if v not in release.stopped), 0)
    return opened[-1], release.shares[opened[-1]]


def next_step(release: Followed) -> tuple[str, int, int]:
    """Which group the next step concerns, the share that one canary of it has, and the least that it gets."""
    where, present = present_of(release)
    names, steps = group_names(release.plan), stages_of(release.plan.ramp)
    above = [step.weight_ppm for step in steps if step.weight_ppm > max(present.values())]
    if above:
        return where, max(present.values()), above[0]
    if where == names[-1]:
        return where, max(present.values()), PPM
    return names[names.index(where) + 1], 0, steps[0].weight_ppm


def shares_of(decision: Decision, plan: Plan) -> Shares:
    """What each group gets: by the first rule that names it, or by the weights."""
    found = {}
    for name in group_names(plan):
        named = (rule.weights_ppm for rule in decision.rules if name == ", ".join(rule.segments))
        weights = next(named, decision.weights_ppm)
        found[name] = {v: weight for v, weight in weights.items() if weight and v != plan.baseline}
    return found


def in_hours(ramp: Ramp, at_ms: int) -> bool:
    """Whether a window is open: by the minutes since it began, which the machine does not count."""
    return not ramp.windows or any(_begun(window, at_ms) not in {None, *ramp.holidays} for window in ramp.windows)


def _begun(window: Window, at_ms: int) -> date | None:
    """The day on which the window that is open now began."""
    local = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(window.zone))
    since = (local.hour * 60 + local.minute - window.from_) % 1440
    day = local.date() - timedelta(days=local.hour * 60 + local.minute < window.from_)
    return day if since < (window.to - window.from_) % 1440 and window.days.has(day.weekday()) else None
