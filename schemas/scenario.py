"""Scenarios: made-up traffic and what goes wrong in it, as YAML files for `simulate`."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from schemas.event import NAME_LENGTH_MAX, SEGMENTS_MAX
from schemas.file_errors import RuleError, parse_document
from schemas.units import Duration, Fraction

CHANGES_MAX = 100
DELAY_SIGMA_MAX = 3.0
_RATE = re.compile(r"(\d+(?:\.\d+)?)/s")
_METRIC = re.compile(r"error_rate|latency_ms|(?:values|labels|feedback)\.[^.]+")


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A base for types of files: unknown fields are errors."""


class Sample(Closed, frozen=True):
    """Draw from a column of a recorded file, which is looked up beside the scenario."""

    file: str
    column: str


class Lognormal(Closed, frozen=True):
    median: float
    sigma: float


class Gamma(Closed, frozen=True):
    mean: float
    shape: float


class Normal(Closed, frozen=True):
    mean: float
    sd: float


class Distribution(Closed, frozen=True):
    """Exactly one of its fields is given."""

    lognormal: Lognormal | None = None
    gamma: Gamma | None = None
    normal: Normal | None = None
    sample: Sample | None = None


class Feedback(Closed, frozen=True):
    """Ratings that come after the request: ``delay`` is the median, lognormal with ``delay_sigma``."""

    mean: float
    sd: float
    share: Fraction = msgspec.field(default_factory=lambda: Fraction(0.1))
    delay: Duration = msgspec.field(default_factory=lambda: Duration(0))
    delay_sigma: float = 0.0


class Correlation(Closed, frozen=True):
    """Of two metrics, by a Gaussian copula."""

    between: tuple[str, str]
    rho: float


class Diurnal(Closed, frozen=True):
    period: Duration
    amplitude: Fraction


class Bursts(Closed, frozen=True):
    times: float
    every: Duration
    length: Duration


class Shape(Closed, frozen=True):
    diurnal: Diurnal | None = None
    bursts: Bursts | None = None


class Users(Closed, frozen=True):
    """Sticky users whose requests are correlated."""

    requests: int
    correlation: float


class Traffic(Closed, frozen=True):
    """Either a Poisson rate such as ``50/s``, or recorded arrival times."""

    rate: str | None = None
    trace: str | None = None
    column: str | None = None
    shape: Shape = msgspec.field(default_factory=Shape)
    segments: dict[str, Fraction] = {}
    users: Users | None = None

    @property
    def rate_per_s(self) -> float | None:
        match = _RATE.fullmatch(self.rate) if self.rate else None
        return float(match[1]) if match else None


class Arm(Closed, frozen=True):
    """What the baseline does."""

    error_rate: Fraction = msgspec.field(default_factory=lambda: Fraction(0.0))
    latency_ms: Distribution | None = None
    values: dict[str, Distribution] = {}
    labels: dict[str, dict[str, Fraction]] = {}
    feedback: dict[str, Feedback] = {}
    correlation: tuple[Correlation, ...] = ()


class Split(Closed, frozen=True):
    """What the routers really do with the share they were asked for."""

    times: float = 1.0


class Scenario(Closed, frozen=True):
    """Traffic, the baseline, what differs in the canary, and what disturbs both.

    >>> parse_scenario("name: calm\\nduration: 10m\\ntraffic: {rate: 50/s}\\nbaseline: {error_rate: 1%}").duration
    600000
    """

    name: str
    duration: Duration
    traffic: Traffic
    baseline: Arm
    canary: tuple[dict[str, Any], ...] = ()
    both: tuple[dict[str, Any], ...] = ()
    split: Split = msgspec.field(default_factory=Split)


def parse_scenario(text: str, *, file: str = "scenario") -> Scenario:
    """Parse a scenario from YAML.

    Raises
    ------
    schemas.file_errors.FileError : naming file, line, field, what was found and what is allowed.
    """
    return parse_document(text, Scenario, file=file, rules=_check_rules)


def _check_rules(scenario: Scenario) -> None:
    if not 1 <= len(scenario.name) <= NAME_LENGTH_MAX:
        raise RuleError("$.name", f"found {len(scenario.name)} characters; allowed are 1 to {NAME_LENGTH_MAX}")
    if scenario.duration <= 0:
        raise RuleError("$.duration", f"found {scenario.duration.text()}; allowed is more than 0s")
    _check_traffic(scenario.traffic)
    _check_baseline(scenario.baseline)
    for side, changes in (("canary", scenario.canary), ("both", scenario.both)):
        if len(changes) > CHANGES_MAX:
            raise RuleError(f"$.{side}", f"found {len(changes)} entries; allowed are {CHANGES_MAX}")
        for index, change in enumerate(changes):
            _check_change(change, f"$.{side}[{index}]")
    if not 0 < scenario.split.times <= 100:
        raise RuleError("$.split.times", f"found {scenario.split.times:g}; allowed is more than 0 and at most 100")


def _check_traffic(traffic: Traffic) -> None:
    if (traffic.rate is None) == (traffic.trace is None):
        raise RuleError("$.traffic", "found both or neither of rate and trace; allowed is exactly one")
    if traffic.rate is not None and not traffic.rate_per_s:
        raise RuleError("$.traffic.rate", f"found {traffic.rate!r}; allowed is a rate such as 50/s")
    if traffic.trace is not None and not traffic.column:
        raise RuleError("$.traffic.column", "missing; a trace needs the column of its arrival times")
    if len(traffic.segments) > SEGMENTS_MAX:
        raise RuleError("$.traffic.segments", f"found {len(traffic.segments)}; allowed are {SEGMENTS_MAX}")
    _check_shares(traffic.segments, "$.traffic.segments")
    users = traffic.users
    if users is not None and (users.requests < 1 or not 0 <= users.correlation < 1):
        raise RuleError("$.traffic.users", "allowed are requests of at least 1 and a correlation from 0 to below 1")


def _check_shares(shares: dict[str, Fraction], path: str) -> None:
    if shares and not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9):
        raise RuleError(path, f"found shares that add up to {Fraction(sum(shares.values())).text()}; allowed is 100%")


def _check_baseline(arm: Arm) -> None:
    if arm.error_rate > 1:
        raise RuleError("$.baseline.error_rate", f"found {arm.error_rate.text()}; allowed is at most 100%")
    named = {"latency_ms": arm.latency_ms, **{f"values.{name}": d for name, d in arm.values.items()}}
    for name, distribution in named.items():
        if distribution is not None:
            given = [field for field in distribution.__struct_fields__ if getattr(distribution, field) is not None]
            if len(given) != 1:
                fields = ", ".join(distribution.__struct_fields__)
                raise RuleError(f"$.baseline.{name}", f"found {len(given)} distributions; allowed is one of {fields}")
    for name, shares in arm.labels.items():
        _check_shares(shares, f"$.baseline.labels.{name}")
    for name, feedback in arm.feedback.items():
        if name == "latency_ms":
            raise RuleError(f"$.baseline.feedback.{name}", "found latency_ms, the name of its delay; use another")
        if not 0 <= feedback.delay_sigma <= DELAY_SIGMA_MAX:
            allowed = f"found {feedback.delay_sigma:g}; allowed is 0 to {DELAY_SIGMA_MAX:g}"
            raise RuleError(f"$.baseline.feedback.{name}.delay_sigma", allowed)
    for index, correlation in enumerate(arm.correlation):
        if not -1 < correlation.rho < 1:
            raise RuleError(f"$.baseline.correlation[{index}].rho", f"found {correlation.rho:g}; allowed is -1 to 1")


def _check_change(change: dict[str, Any], path: str) -> None:
    """One entry of ``canary`` or ``both``: when, where, and effects on metrics."""
    for key, value in change.items():
        where = f"{path}.{key}"
        if key in {"at", "over", "for"}:
            try:
                Duration.parse(value)
            except ValueError as error:
                raise RuleError(where, str(error)) from error
        elif key in {"segment", "silent", "correlation"}:
            wanted: type = {"segment": str, "silent": bool, "correlation": list}[key]
            if not isinstance(value, wanted):
                raise RuleError(where, f"found {value!r}; allowed is a {wanted.__name__}")
        elif _METRIC.fullmatch(key):
            _check_effect(value, where)
        else:
            allowed = "at, over, for, segment, silent, correlation, error_rate, latency_ms, values.*, labels.*"
            raise RuleError(where, f"unknown field; allowed are {allowed}, feedback.*")
    if "at" not in change:
        raise RuleError(f"{path}.at", "missing; it is required")


def _check_effect(effect: object, path: str) -> None:
    if not isinstance(effect, dict) or not effect:
        raise RuleError(path, f"found {effect!r}; allowed is one of to, times, add, or tail_times with above")
    if set(effect) not in ({"to"}, {"times"}, {"add"}, {"tail_times", "above"}):
        found = ", ".join(sorted(map(str, effect)))
        raise RuleError(path, f"found {found}; allowed is one of to, times, add, or tail_times with above")
