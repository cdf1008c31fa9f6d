"""How much worse a canary may be at most before it gets a share, and the grid of all such margins of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from releases.ramps.adaptive import LEARNING_PPM_MAX
from schemas.metric import Metric
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM

MARGIN_MAX = 0.99
"""A degradation of 100 % or more cannot be excluded by any gate; early steps ask for this at most."""


def judged_as_ppm(plan: Plan, share_ppm: int) -> int:
    """Of all users together nobody may fare worse by more than the margin when the canaries have this share of them.

    That is the share that they are to get, or everyone: always with ``advance: strict``, and on an adaptive ramp above
    the share in which canaries are learned (:data:`releases.ramps.adaptive.LEARNING_PPM_MAX`).

    Parameters
    ----------
    share_ppm : of all canaries together, after the step that is asked about.
    """
    learned = isinstance(plan.ramp, Adaptive) and share_ppm > LEARNING_PPM_MAX
    return PPM if learned or plan.advance == "strict" else share_ppm


def judged_column(plan: Plan, shares_ppm: Sequence[int], share_ppm: int) -> int:
    """Which of a quantile gate's shares a step is judged as: the first that is not below it, never a laxer one.

    Parameters
    ----------
    shares_ppm : ascending, the last is 1,000,000.
    share_ppm : as for :func:`judged_as_ppm`; of a user group it may be more than everyone, and is everyone then.
    """
    asked_ppm = judged_as_ppm(plan, min(share_ppm, PPM))
    return next(index for index, share in enumerate(shares_ppm) if share >= asked_ppm)


def margin_at(plan: Plan, metric: Metric, share_ppm: int) -> float:
    """The degradation that must be excluded before the canaries' share may become ``share_ppm``.

    The plan's margin says how much worse all users together may fare; with a share w of them on the canary that allows
    margin / w there, w being what the share is judged as. A quantile's margin stays what it is, since its gate asks
    about the quantile of all users together (:mod:`detectors.sequential.step_margin`).

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> plan = parse_plan(EXAMPLE, file="plan.yaml")
    >>> margin_at(plan, plan.metrics[0], 500_000)
    0.01
    """
    margin = float(metric.margin or 0.0)
    if metric.level is None:
        margin *= PPM / judged_as_ppm(plan, share_ppm)
    return min(margin, MARGIN_MAX)


class Margins:
    """The grid of margins that a plan can ask for, and which of them a share asks for."""

    def __init__(self, plan: Plan, metric: Metric, shares_ppm: set[int]) -> None:
        self.grid = tuple(sorted({margin_at(plan, metric, share) for share in shares_ppm}))
        self._plan, self._metric = plan, metric

    def column(self, share_ppm: int) -> int:
        """The largest margin of the grid that is not above the one asked for: never a laxer one."""
        asked = margin_at(self._plan, self._metric, share_ppm)
        return max(sum(1 for known in self.grid if known <= asked * (1 + 1e-9)) - 1, 0)
