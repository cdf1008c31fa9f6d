"""The plan of a release: a YAML file, the same document as JSON inside a ``start`` command."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from schemas.basis import METRICS_MAX, METRICS_MIN
from schemas.event import FORCED_SUFFIX, NAME_LENGTH_MAX, OTHER, VERSIONS_MAX
from schemas.file_errors import RuleError, parse_document
from schemas.hook import Hook, check_hooks
from schemas.ramp import Adaptive, Ramp, check_positive, check_ramp
from schemas.segment import NamedSegment, check_named_segments
from schemas.units import Duration, Fraction

METRICS_IN_PLAN_MAX = 16
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


class NoData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do when the canary or the baseline is silent, or a gate has nothing to compare, for ``after``."""

    after: Duration = msgspec.field(default_factory=lambda: Duration(120_000))
    action: Literal["hold", "rollback"] = "hold"


class Inconclusive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do when the evidence does not decide: no PASS for ``after``, counted from the end of a step's hold."""

    after: Duration = msgspec.field(default_factory=lambda: Duration(3_600_000))
    action: Literal["hold", "rollback"] = "hold"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a release may go on. What is not promoted after ``max_duration`` is rolled back, paused or not."""

    max_duration: Duration = msgspec.field(default_factory=lambda: Duration(4 * 3_600_000))
    no_data: NoData = msgspec.field(default_factory=NoData)
    inconclusive: Inconclusive = msgspec.field(default_factory=Inconclusive)
    no_data_rollback: Duration = msgspec.field(default_factory=lambda: Duration(15 * 60_000))


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """What to release, how fast, and judged by what.

    ``independent`` says what one observation is; without it units are, where events carry them. ``segments`` tells
    routers how to name a request's segment by its attributes. Services whose plans have the same word in ``together``
    split by the same salt: a user whom two of them give the canary is the same user.

    >>> plan = parse_plan(EXAMPLE, file="plan.yaml")
    >>> plan.ramp.steps[0].weight, plan.metrics[0].tolerated
    (10000, 0.00125)
    """

    service: str
    baseline: str
    canaries: tuple[str, ...]
    ramp: Ramp
    metrics: tuple[Metric, ...]
    alpha: float = 0.05
    advance: Literal["population", "strict"] = "population"
    by_segment: bool = True
    independent: Literal["unit", "request"] | None = None
    limits: Limits = msgspec.field(default_factory=Limits)
    segments: tuple[NamedSegment, ...] = ()
    together: str | None = None
    hooks: tuple[Hook, ...] = ()

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics that have a value of their own: all but the joint gate."""
        return tuple(m for m in self.metrics if m.name != JOINT)

    @property
    def gates(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.role == "gate")


EXAMPLE = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 1%, hold: 2m}, {weight: 50%, hold: 10m}]}
metrics:
  - {name: error_rate, worse: higher, margin: 0.5%}
"""


def parse_plan(text: str, *, file: str = "plan") -> Plan:
    """Parse a plan from YAML or JSON.

    Raises
    ------
    schemas.file_errors.FileError : naming file, line, field, what was found and what is allowed.

    >>> parse_plan("service: chat", file="p.yaml")
    Traceback (most recent call last):
    schemas.file_errors.FileError: p.yaml:1: baseline: missing; it is required
    """
    return parse_document(text, Plan, file=file, rules=check_rules)


def check_rules(plan: Plan) -> None:
    """Check what types cannot say; raises :class:`RuleError` at the first rule that does not hold."""
    _check_names(plan)
    if not 0 < plan.alpha <= 0.5:
        raise RuleError("$.alpha", f"found {plan.alpha:g}; allowed is more than 0 and at most 0.5")
    check_ramp(plan.ramp, len(plan.canaries))
    check_named_segments(plan.segments)
    if not 1 <= len(plan.metrics) <= METRICS_IN_PLAN_MAX:
        raise RuleError("$.metrics", f"found {len(plan.metrics)} metrics; allowed are 1 to {METRICS_IN_PLAN_MAX}")
    seen: set[str] = set()
    for index, metric in enumerate(plan.metrics):
        _check_metric(metric, f"$.metrics[{index}]")
        if metric.range is not None:
            _check_range(plan, metric, f"$.metrics[{index}]")
        if metric.season is not None and not SEASON_MIN <= metric.season <= SEASON_MAX:
            found, allowed = metric.season.text(), f"{SEASON_MIN.text()} to {SEASON_MAX.text()}"
            raise RuleError(f"$.metrics[{index}].season", f"found {found}; allowed are {allowed}")
        if metric.label in seen:
            raise RuleError(f"$.metrics[{index}].name", f"found {metric.label!r} twice; allowed once")
        seen.add(metric.label)
    if isinstance(plan.ramp, Adaptive) and all(gate.name != "error_rate" for gate in plan.gates):
        raise RuleError(
            "$.ramp.kind", "found 'adaptive' and no gate on error_rate; its harm budget counts failed requests"
        )
    late = next((gate for gate in plan.gates if gate.delayed), None)
    if plan.ramp.shadow is not None and late is not None:
        raise RuleError("$.ramp.shadow", f"found with a gate on {late.name}; nobody gives feedback on copies")
    if not plan.gates:
        raise RuleError("$.metrics", "found no metric with role gate; at least one is needed to decide")
    if all(gate.name == JOINT for gate in plan.gates):
        raise RuleError("$.metrics", "found no gate but joint, which excludes no harm; at least one other is needed")
    _check_limits(plan.limits)
    check_hooks("$.hooks", plan.hooks)


def _check_names(plan: Plan) -> None:
    for path, name in (("$.service", plan.service), ("$.baseline", plan.baseline)):
        _check_name(path, name)
    if not 1 <= len(plan.canaries) < VERSIONS_MAX:
        raise RuleError("$.canaries", f"found {len(plan.canaries)} versions; allowed are 1 to {VERSIONS_MAX - 1}")
    for index, name in enumerate(plan.canaries):
        path = f"$.canaries[{index}]"
        _check_name(path, name)
        if name == plan.baseline:
            raise RuleError(path, f"found {name!r}, which is the baseline; a canary must be another version")
        if name in plan.canaries[:index]:
            raise RuleError(path, f"found {name!r} twice; allowed once")
    if plan.together is not None:
        _check_name("$.together", plan.together)


def _check_name(path: str, name: str) -> None:
    if not 1 <= len(name) <= NAME_LENGTH_MAX:
        raise RuleError(path, f"found {len(name)} characters; allowed are 1 to {NAME_LENGTH_MAX}")
    if name.endswith(FORCED_SUFFIX) and path != "$.service":
        raise RuleError(path, f"found {name!r}; {FORCED_SUFFIX!r} marks requests of testers that forced a version")
    if name == OTHER and path != "$.service":
        raise RuleError(path, f"found {OTHER!r}, the name into which surplus versions are folded; use another")
    if name != name.strip() or any(ord(c) < 32 for c in name):
        raise RuleError(path, f"found {name!r}; allowed is a name without control characters or outer blanks")


def _check_metric(metric: Metric, path: str) -> None:
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


def _check_range(plan: Plan, metric: Metric, path: str) -> None:
    low, high = metric.range or (0.0, 0.0)
    if not -1e15 < low < high < 1e15:
        raise RuleError(f"{path}.range", f"found [{low:g}, {high:g}]; allowed are two numbers, the lower one first")
    if metric.kind != "mean" or metric.name == JOINT:
        raise RuleError(f"{path}.range", f"found for {metric.label}; allowed for the mean of a number alone")
    if metric.role == "gate" and metric.worse == "either":
        raise RuleError(f"{path}.worse", "found 'either' with a range; allowed are higher, lower")
    if metric.role == "gate" and metric.margin == Fraction(1.0):
        raise RuleError(f"{path}.margin", "found 100% with a range; a part of the range is less than all of it")
    if plan.independent != "request":
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


def _check_limits(limits: Limits) -> None:
    check_positive("$.limits.max_duration", limits.max_duration)
    check_positive("$.limits.no_data.after", limits.no_data.after)
    check_positive("$.limits.inconclusive.after", limits.inconclusive.after)
    check_positive("$.limits.no_data_rollback", limits.no_data_rollback)
    if limits.no_data_rollback < limits.no_data.after:
        found, after = limits.no_data_rollback.text(), limits.no_data.after.text()
        raise RuleError("$.limits.no_data_rollback", f"found {found}; allowed is at least no_data.after ({after})")
