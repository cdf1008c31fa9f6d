"""Ramps: how the canary's share grows, as a plan writes it, and the rules that a ramp must keep."""

from __future__ import annotations

import math
from datetime import date

import msgspec

from schemas.event import NAME_LENGTH_MAX, SEGMENTS_MAX
from schemas.file_errors import RuleError
from schemas.opening_hours import Window, check_holidays, check_windows
from schemas.units import PPM, Duration, Moment, Share

STEPS_MAX = 200
GROUPS_MAX = 8
HARM_BUDGET_MIN, HARM_BUDGET_MAX = 20, 1_000_000
"""With a smaller budget no release gets far: the upper bound hardly falls below ten, however healthy the canary is."""
MIN_REQUESTS_MAX = 1_000_000_000
DURATION_MAX = Duration(365 * 86_400_000)
_FILE_NAMES = {"from_": "from"}  # `from` is a word of Python


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stage: the canary's share and how long it is held at least."""

    weight: Share
    hold: Duration


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every ramp may say of its steps: when they may be taken, and by whose requests.

    Parameters
    ----------
    start : when the first step is opened by itself; at once when that is over, or left out.
    windows : opening hours; without any, always.
    holidays : days, by the clock of each window's zone, on which no window begins.
    segments : groups of segments, each of which takes all steps in its turn; ``*`` is everyone else.
    confirm : shares of a canary, ascending, that no step reaches before somebody has said yes; 100% is promotion.
    shadow : before the first step each canary gets copies of so many requests, for so long at least.
    min_requests : how many requests each canary answers in a step at least, or copies of them, before the next.
    """

    start: Moment | None = None
    windows: tuple[Window, ...] = ()
    holidays: tuple[date, ...] = ()
    segments: tuple[tuple[str, ...], ...] = ()
    confirm: tuple[Share, ...] = ()
    shadow: Step | None = None
    min_requests: int = 0


class Stages(Opening, frozen=True, forbid_unknown_fields=True, tag="stages", tag_field="kind"):
    """A fixed list of stages."""

    steps: tuple[Step, ...]


class Linear(
    Opening,
    frozen=True,
    forbid_unknown_fields=True,
    tag="linear",
    tag_field="kind",
    rename={"from_": "from"},
):
    """y = m x + b: from one share to another over a time."""

    from_: Share
    to: Share
    over: Duration


class Exponential(
    Opening,
    frozen=True,
    forbid_unknown_fields=True,
    tag="exponential",
    tag_field="kind",
    rename={"from_": "from"},
):
    """The share is multiplied by a factor every so often."""

    from_: Share
    to: Share
    factor: float
    every: Duration


class Adaptive(
    Opening,
    frozen=True,
    forbid_unknown_fields=True,
    tag="adaptive",
    tag_field="kind",
    rename={"from_": "from"},
):
    """The share grows as fast as the evidence allows: ``harm_budget`` extra failed requests at most."""

    from_: Share
    to: Share
    harm_budget: int
    hold: Duration = msgspec.field(default_factory=lambda: Duration(60_000))


Ramp = Stages | Linear | Exponential | Adaptive


def check_ramp(ramp: Ramp, canaries: int) -> None:
    """Check what types cannot say; raises :class:`RuleError` with a path from the plan's root.

    Parameters
    ----------
    ramp : as parsed.
    canaries : how many versions share it; each gets the ramp's share.
    """
    # Without traffic of its own the baseline is no comparison; promotion is what gives a canary everything.
    share_max = (PPM - 1) // canaries
    check_windows("$.ramp.windows", ramp.windows)
    check_holidays("$.ramp.holidays", ramp.holidays, ramp.windows)
    _check_segments(ramp)
    _check_confirm(ramp)
    _check_shadow(ramp, canaries)
    if not 0 <= ramp.min_requests <= MIN_REQUESTS_MAX:
        raise RuleError("$.ramp.min_requests", f"found {ramp.min_requests}; allowed are 0 to {MIN_REQUESTS_MAX:,}")
    match ramp:
        case Stages(steps=steps):
            _check_stages(steps, share_max)
        case Linear() | Exponential() | Adaptive():
            _check_share("$.ramp.from", ramp.from_, share_max)
            _check_share("$.ramp.to", ramp.to, share_max)
            if ramp.from_ >= ramp.to:
                raise RuleError("$.ramp.to", f"found {ramp.to.text()}; allowed is more than from ({ramp.from_.text()})")
            match ramp:
                case Linear():
                    check_positive("$.ramp.over", ramp.over)
                case Exponential():
                    check_positive("$.ramp.every", ramp.every)
                    _check_factor(ramp)
                case Adaptive():
                    check_positive("$.ramp.hold", ramp.hold)
                    _check_budget(ramp)


def _check_budget(ramp: Adaptive) -> None:
    if not HARM_BUDGET_MIN <= ramp.harm_budget <= HARM_BUDGET_MAX:
        found, least, most = ramp.harm_budget, HARM_BUDGET_MIN, HARM_BUDGET_MAX
        raise RuleError("$.ramp.harm_budget", f"found {found}; allowed are {least} to {most:,} failed requests")


def _check_factor(ramp: Exponential) -> None:
    if not 1.01 <= ramp.factor <= 100:
        raise RuleError("$.ramp.factor", f"found {ramp.factor:g}; allowed is 1.01 to 100")
    steps = 1 + math.ceil(math.log(ramp.to / ramp.from_) / math.log(ramp.factor) - 1e-9)
    if steps > STEPS_MAX:
        raise RuleError("$.ramp.factor", f"found {ramp.factor:g}, which makes {steps} steps; allowed are {STEPS_MAX}")


def _check_segments(ramp: Ramp) -> None:
    path, groups = "$.ramp.segments", ramp.segments
    if not groups:
        return
    if isinstance(ramp, Adaptive):
        raise RuleError(path, "found with kind adaptive; allowed are stages, linear, exponential")
    if len(groups) > GROUPS_MAX or sum(map(len, groups)) > SEGMENTS_MAX:
        what = f"found {len(groups)} groups of {sum(map(len, groups))} segments"
        raise RuleError(path, f"{what}; allowed are {GROUPS_MAX} groups of {SEGMENTS_MAX}")
    if groups[-1] != ("*",):
        what = "allowed is '*', everyone else: nobody is promoted to whom the canary was not shown"
        raise RuleError(f"{path}[{len(groups) - 1}]", f"found {', '.join(groups[-1]) or 'no segment'}; {what}")
    seen: set[str] = set()
    for index, group in enumerate(groups[:-1]):
        if not group:
            raise RuleError(f"{path}[{index}]", "found no segment; allowed is at least one")
        for name in group:
            if name in seen or name == "*" or len(name) > NAME_LENGTH_MAX:
                raise RuleError(f"{path}[{index}]", f"found {name!r}; allowed is each segment once, and '*' at the end")
            seen.add(name)


def _check_confirm(ramp: Ramp) -> None:
    for index, share in enumerate(ramp.confirm):
        path = f"$.ramp.confirm[{index}]"
        if share <= 0:
            raise RuleError(path, f"found {share.text()}; allowed is more than 0%, and 100% for the promotion")
        if index and share <= ramp.confirm[index - 1]:
            before = ramp.confirm[index - 1].text()
            raise RuleError(path, f"found {share.text()}; allowed is more than the one before ({before})")
    if len(ramp.confirm) > STEPS_MAX:
        raise RuleError("$.ramp.confirm", f"found {len(ramp.confirm)} shares; allowed are {STEPS_MAX}")


def _check_shadow(ramp: Ramp, canaries: int) -> None:
    path, shadow = "$.ramp.shadow", ramp.shadow
    if shadow is None:
        return
    if isinstance(ramp, Adaptive) or ramp.segments:
        found = "kind adaptive" if isinstance(ramp, Adaptive) else "segments"
        raise RuleError(path, f"found with {found}; allowed with stages, linear and exponential for everyone at once")
    _check_share(f"{path}.weight", shadow.weight, PPM // canaries)
    check_positive(f"{path}.hold", shadow.hold)


def _check_stages(steps: tuple[Step, ...], share_max: int) -> None:
    if not 1 <= len(steps) <= STEPS_MAX:
        raise RuleError("$.ramp.steps", f"found {len(steps)} steps; allowed are 1 to {STEPS_MAX}")
    for index, step in enumerate(steps):
        path = f"$.ramp.steps[{index}]"
        _check_share(f"{path}.weight", step.weight, share_max)
        check_positive(f"{path}.hold", step.hold)
        if index and step.weight <= steps[index - 1].weight:
            before = steps[index - 1].weight.text()
            raise RuleError(
                f"{path}.weight",
                f"found {step.weight.text()}; allowed is more than the step before ({before})",
            )


def _check_share(path: str, share: Share, share_max: int) -> None:
    if share <= 0:
        raise RuleError(path, f"found {share.text()}; allowed is more than 0%")
    if share > share_max:
        why = "the canaries together must leave the baseline traffic to compare with"
        raise RuleError(path, f"found {share.text()}; allowed is at most {Share(share_max).text()}: {why}")


def check_positive(path: str, duration: Duration) -> None:
    """Refuse a duration of nothing or of more than a year."""
    if not 0 < duration <= DURATION_MAX:
        raise RuleError(path, f"found {duration.text()}; allowed is more than 0s and at most {DURATION_MAX.text()}")
