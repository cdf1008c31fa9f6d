"""What goes wrong in a scenario, and when: the entries of ``canary`` and ``both``, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from detectors.arrays import Floats
from schemas.file_errors import RuleError
from schemas.metric import DELAY
from schemas.scenario import Correlation, Scenario
from schemas.units import Duration, Fraction

Kind = Literal["to", "times", "add", "tail_times"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does to one metric.

    Parameters
    ----------
    metric : as in a plan: ``error_rate``, ``latency_ms``, ``values.tokens_out``, ``labels.…``, ``feedback.…``.
    kind : how ``value`` is meant. ``to`` sets a rate, or the mean of a number.
    value : a fraction for rates, otherwise in the metric's unit or a factor.
    shares : of a label's values, for ``to`` on labels.
    above : the part of the values that ``tail_times`` leaves alone, within (0, 1).
    """

    metric: str
    kind: Kind
    value: float = 0.0
    shares: Mapping[str, float] | None = None
    above: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One entry: when, where, what."""

    at_ms: int
    over_ms: int = 0
    for_ms: int | None = None
    segment: str | None = None
    silent: bool = False
    correlation: tuple[Correlation, ...] = ()
    effects: tuple[Effect, ...] = ()

    def strength(self, at_ms: Floats) -> Floats:
        """How much of the change is in force, from 0 to 1: it grows linearly over ``over_ms`` and ends at once.

        Parameters
        ----------
        at_ms : moments since the start of the scenario.
        """
        since = at_ms - self.at_ms
        grown = np.clip(since / self.over_ms, 0.0, 1.0) if self.over_ms else np.ones_like(since)
        there = since >= 0 if self.for_ms is None else (since >= 0) & (since < self.for_ms)
        return np.where(there, grown, 0.0)


def changes_of(scenario: Scenario, side: Literal["canary", "both"]) -> tuple[Change, ...]:
    """The typed entries of one side.

    Raises
    ------
    schemas.file_errors.RuleError : an entry names what the scenario does not have, or a value that is none.
    """
    entries: Sequence[dict[str, Any]] = scenario.canary if side == "canary" else scenario.both
    return tuple(_change(entry, scenario, f"$.{side}[{index}]") for index, entry in enumerate(entries))


def _change(entry: Mapping[str, Any], scenario: Scenario, path: str) -> Change:
    segment = entry.get("segment")
    if segment is not None and segment not in scenario.traffic.segments:
        allowed = ", ".join(scenario.traffic.segments) or "none, since traffic has no segments"
        raise RuleError(f"{path}.segment", f"found {segment!r}; allowed are {allowed}")
    known = metrics_of(scenario)
    effects = []
    for name, effect in entry.items():
        if name in {"at", "over", "for", "segment", "silent", "correlation"}:
            continue
        if name not in known:
            raise RuleError(f"{path}.{name}", f"the baseline has no such metric; allowed are {', '.join(known)}")
        effects.append(_effect(name, effect, scenario, f"{path}.{name}"))
    return Change(
        at_ms=Duration.parse(entry["at"]),
        over_ms=Duration.parse(entry.get("over", "0s")),
        for_ms=Duration.parse(entry["for"]) if "for" in entry else None,
        segment=segment,
        silent=entry.get("silent", False),
        correlation=_correlation(entry.get("correlation", []), f"{path}.correlation"),
        effects=tuple(effects),
    )


def metrics_of(scenario: Scenario) -> list[str]:
    """Every metric that the scenario's baseline has, by the names of a plan."""
    arm = scenario.baseline
    latency = ["latency_ms"] if arm.latency_ms is not None else []
    values = [f"values.{name}" for name in arm.values]
    labels = [f"labels.{name}" for name in arm.labels]
    feedback = [*(f"feedback.{name}" for name in arm.feedback), *([DELAY] if arm.feedback else ())]
    return ["error_rate", *latency, *values, *labels, *feedback]


def _correlation(raw: list[Any], path: str) -> tuple[Correlation, ...]:
    try:
        found = msgspec.convert(raw, tuple[Correlation, ...])
    except msgspec.ValidationError as error:
        raise RuleError(path, f"{error}; allowed is a list of between: [metric, metric] with rho") from error
    for one in found:
        if not -1 < one.rho < 1:
            raise RuleError(path, f"found rho {one.rho:g}; allowed is -1 to 1")
    return found


def _effect(name: str, raw: Mapping[str, Any], scenario: Scenario, path: str) -> Effect:
    if name.startswith("labels."):
        return _label_effect(name, raw, scenario, path)
    above = 0.0
    if "tail_times" in raw:
        if name == "error_rate":
            raise RuleError(path, "found tail_times; an error rate has no tail: allowed are to, times, add")
        above = _fraction(raw.get("above"), f"{path}.above")
        if not 0 < above < 1:
            raise RuleError(f"{path}.above", f"found {raw.get('above')!r}; allowed is more than 0% and less than 100%")
    for kind in ("to", "times", "add", "tail_times"):
        if kind in raw:
            is_rate = name == "error_rate" and kind in {"to", "add"}
            found = raw[kind]
            value = _signed_fraction(found, f"{path}.{kind}") if is_rate else _number(found, f"{path}.{kind}")
            return Effect(name, kind, value, above=above)
    raise RuleError(path, "missing; allowed is one of to, times, add, or tail_times with above")


def _label_effect(name: str, raw: Mapping[str, Any], scenario: Scenario, path: str) -> Effect:
    known = scenario.baseline.labels[name.removeprefix("labels.")]
    wanted = raw.get("to")
    if not isinstance(wanted, dict) or not set(map(str, wanted)) <= set(known):
        raise RuleError(path, f"found {raw!r}; allowed is to with shares of {', '.join(known)}")
    shares = {str(value): _fraction(share, f"{path}.to.{value}") for value, share in wanted.items()}
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise RuleError(f"{path}.to", f"found shares that add up to {sum(shares.values()):.4g}; allowed is 100%")
    return Effect(name, "to", shares={value: shares.get(value, 0.0) for value in known})


def _fraction(raw: object, path: str) -> float:
    try:
        return float(Fraction.parse(raw))
    except ValueError as error:
        raise RuleError(path, str(error)) from error


def _signed_fraction(raw: object, path: str) -> float:
    text = raw.strip() if isinstance(raw, str) else raw
    if isinstance(text, str) and text.startswith("-"):
        return -_fraction(text[1:], path)
    return _fraction(text, path)


def _number(raw: object, path: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not np.isfinite(raw):
        raise RuleError(path, f"found {raw!r}; allowed is a number")
    return float(raw)
