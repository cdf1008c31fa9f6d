"""The plan of a release: a YAML file, the same document as JSON inside a ``start`` command."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.event import FORCED_SUFFIX, NAME_LENGTH_MAX, OTHER, VERSIONS_MAX
from schemas.file_errors import RuleError, parse_document
from schemas.hook import Hook, check_hooks
from schemas.metric import JOINT, Metric, check_metric
from schemas.ramp import Adaptive, Ramp, check_positive, check_ramp
from schemas.segment import NamedSegment, check_named_segments
from schemas.units import Duration

METRICS_IN_PLAN_MAX = 16


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
        check_metric(metric, f"$.metrics[{index}]", independent=plan.independent)
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


def _check_limits(limits: Limits) -> None:
    check_positive("$.limits.max_duration", limits.max_duration)
    check_positive("$.limits.no_data.after", limits.no_data.after)
    check_positive("$.limits.inconclusive.after", limits.inconclusive.after)
    check_positive("$.limits.no_data_rollback", limits.no_data_rollback)
    if limits.no_data_rollback < limits.no_data.after:
        found, after = limits.no_data_rollback.text(), limits.no_data.after.text()
        raise RuleError("$.limits.no_data_rollback", f"found {found}; allowed is at least no_data.after ({after})")
