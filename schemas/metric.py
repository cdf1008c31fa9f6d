"""One metric of a plan: what it counts, which way is worse, and how much worse is too much."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from schemas.basis import METRICS_MAX, METRICS_MIN
from schemas.event import NAME_LENGTH_MAX
from schemas.file_errors import RuleError
from schemas.units import Duration, Fraction

SEASON_MIN, SEASON_MAX = Duration(600_000), Duration(7 * 86_400_000)
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
QUANTILE_MARGIN_MIN = Fraction(0.03)
"""Quantiles are read from bins 2 % wide: a smaller margin would be rounded down to none."""
JOINT = "joint"
"""The name of the gate that looks at several metrics together."""
DELAY = "feedback.latency_ms"
"""The name of the time from a request's answer to the feedback on it."""
_NUMERIC_NAME = re.compile(r"latency_ms|(?:values|feedback)\..+")
_NUMERIC_ALLOWED = "latency_ms, values.<name>, feedback.<name>"
_METRIC_NAME = re.compile(r"error_rate|latency_ms|(?:values|labels|feedback)\..+|joint")


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """One metric that the release is judged by, or that is only watched.

    ``season`` is for the observers: the metric's own past is then that of the same time of earlier seasons.
    """

    name: str
    worse: Literal["higher", "lower", "either"] = "higher"
    margin: Fraction | None = None
    statistic: Literal["rate", "mean", "p50", "p95", "p99", "mix"] | None = None
    of: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    tolerance: Fraction | None = None
    role: Literal["gate", "observe"] = "gate"
    action: Literal["rollback", "hold"] | None = None
    season: Duration | None = None

    @property
    def on_fail(self) -> Literal["rollback", "hold"]:
        """What a failing gate does: as written, else a rollback; the joint gate shows no harm and only holds."""
        if self.action is not None:
            return self.action
        return "hold" if self.name == JOINT else "rollback"

    @property
    def kind(self) -> str:
        """The statistic in force: as written, else ``rate`` for the error rate and ``mean`` for numbers."""
        if self.statistic is not None:
            return self.statistic
        if self.name == JOINT:
            return JOINT
        if self.name == "error_rate":
            return "rate"
        return "mix" if self.name.startswith("labels.") else "mean"

    @property
    def directions(self) -> tuple[Literal["higher", "lower"], ...]:
        """Each way in which it can get worse."""
        return ("higher", "lower") if self.worse == "either" else (self.worse,)

    @property
    def delayed(self) -> bool:
        """Whether its values come later than the requests that they are about, and on some of them only."""
        return self.name.startswith("feedback.")

    @property
    def level(self) -> float | None:
        """The quantile's level: 0.99 for p99; None for other statistics."""
        return None if self.statistic is None else QUANTILES.get(self.statistic)

    @property
    def label(self) -> str:
        """How the metric is called in evidence: ``error_rate``, ``latency_ms``, ``latency_ms p99``."""
        return self.name if self.level is None else f"{self.name} {self.statistic}"

    @property
    def tolerated(self) -> float:
        """Harm up to this never rolls back: as written, else a quarter of the margin."""
        if self.tolerance is not None:
            return float(self.tolerance)
        return float(self.margin) / 4 if self.margin is not None else 0.0


def check_metric(metric: Metric, path: str, *, independent: str | None) -> None:
    """Check what types cannot say; raises :class:`RuleError`.

    Parameters
    ----------
    path : of the metric in its plan.
    independent : what the plan counts, as written.
    """
    _check_statistic(metric, path)
    if metric.range is not None:
        _check_range(metric, path, independent)
    if metric.season is not None and not SEASON_MIN <= metric.season <= SEASON_MAX:
        found, allowed = metric.season.text(), f"{SEASON_MIN.text()} to {SEASON_MAX.text()}"
        raise RuleError(f"{path}.season", f"found {found}; allowed are {allowed}")


def _check_statistic(metric: Metric, path: str) -> None:
    if not _METRIC_NAME.fullmatch(metric.name) or len(metric.name) > NAME_LENGTH_MAX:
        allowed = "error_rate, latency_ms, values.<name>, labels.<name>, feedback.<name>, joint"
        raise RuleError(f"{path}.name", f"found {metric.name!r}; allowed are {allowed}")
    if metric.name == JOINT:
        _check_joint(metric, path)
        return
    if metric.of:
        raise RuleError(f"{path}.of", f"found {list(metric.of)} for {metric.name}; allowed with joint only")
    statistics = _statistics(metric)
    if metric.kind not in statistics:
        said = f"allowed {'is' if len(statistics) == 1 else 'are'} {', '.join(statistics)}"
        raise RuleError(f"{path}.statistic", f"found {metric.kind!r} for {metric.name}; {said}")
    if metric.role == "observe":
        return
    if metric.margin is None:
        raise RuleError(f"{path}.margin", "missing; a gate needs the largest degradation that is acceptable")
    if not 0 < metric.margin <= 1:
        raise RuleError(f"{path}.margin", f"found {metric.margin.text()}; allowed is more than 0% and at most 100%")
    if metric.level is not None and metric.margin < QUANTILE_MARGIN_MIN:
        found, least = metric.margin.text(), QUANTILE_MARGIN_MIN.text()
        raise RuleError(f"{path}.margin", f"found {found} for {metric.kind}; allowed is at least {least}")
    if metric.level is not None and metric.worse != "higher" and metric.margin >= Fraction(1.0):
        raise RuleError(f"{path}.margin", f"found 100% for {metric.kind}; allowed is less when lower is worse")
    if metric.tolerance is not None and metric.tolerance >= metric.margin:
        found = metric.tolerance.text()
        raise RuleError(f"{path}.tolerance", f"found {found}; allowed is less than the margin ({metric.margin.text()})")
    if metric.kind == "rate" and metric.worse != "higher":
        raise RuleError(f"{path}.worse", f"found {metric.worse!r}; an error rate is worse when higher")
    if metric.kind == "mix" and metric.worse == "lower":
        raise RuleError(f"{path}.worse", "found 'lower'; a mix has no direction: allowed is either, or nothing")


def _check_joint(metric: Metric, path: str) -> None:
    """All metrics together: no margin, no direction, no statistic; it gates, since observers look at them anyway."""
    if not METRICS_MIN <= len(metric.of) <= METRICS_MAX:
        found, allowed = len(metric.of), f"{METRICS_MIN} to {METRICS_MAX}"
        raise RuleError(f"{path}.of", f"found {found} names; allowed are {allowed} metrics that are looked at together")
    for index, name in enumerate(metric.of):
        if not _NUMERIC_NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
            raise RuleError(f"{path}.of[{index}]", f"found {name!r}; allowed are {_NUMERIC_ALLOWED}")
        if name in metric.of[:index]:
            raise RuleError(f"{path}.of[{index}]", f"found {name!r} twice; allowed once")
        if name.startswith("feedback.") != metric.of[0].startswith("feedback."):
            one = "no event carries both; allowed are metrics of requests, or of feedback"
            raise RuleError(f"{path}.of[{index}]", f"found {name!r} beside {metric.of[0]!r}; {one}")
    for field, given in (
        ("worse", metric.worse != "higher"),
        ("margin", metric.margin is not None),
        ("statistic", metric.statistic is not None),
        ("tolerance", metric.tolerance is not None),
        ("season", metric.season is not None),
    ):
        if given:
            raise RuleError(
                f"{path}.{field}", "found one for joint, which shows a difference and no harm; allowed is none"
            )
    if metric.role != "gate":
        raise RuleError(f"{path}.role", "found 'observe' for joint; observers see all metrics anyway: allowed is gate")


def _check_range(metric: Metric, path: str, independent: str | None) -> None:
    low, high = metric.range or (0.0, 0.0)
    if not -1e15 < low < high < 1e15:
        raise RuleError(f"{path}.range", f"found [{low:g}, {high:g}]; allowed are two numbers, the lower one first")
    if metric.kind != "mean" or metric.name == JOINT:
        raise RuleError(f"{path}.range", f"found for {metric.label}; allowed for the mean of a number alone")
    if metric.role == "gate" and metric.worse == "either":
        raise RuleError(f"{path}.worse", "found 'either' with a range; allowed are higher, lower")
    if metric.role == "gate" and metric.margin == Fraction(1.0):
        raise RuleError(f"{path}.margin", "found 100% with a range; a part of the range is less than all of it")
    if independent != "request":
        raise RuleError(
            f"{path}.range",
            "found without independent: request; its gate is exact only where no value is told by earlier ones, and "
            "what a user said before tells what the same user says next. Leave range out to count users (not exactly), "
            "or say independent: request where hardly anybody gives two values",
        )


def _statistics(metric: Metric) -> tuple[str, ...]:
    if metric.name == "error_rate":
        return ("rate",)
    return ("mix",) if metric.name.startswith("labels.") else ("mean", *QUANTILES)
