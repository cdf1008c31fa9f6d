"""How two plans differ, field by field, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.plan import Plan
from schemas.units import encode_hook


class Difference(msgspec.Struct, frozen=True):
    """One field that is not the same. None: it is not there."""

    field: str
    before: str | None
    after: str | None


def differences(before: Plan | None, after: Plan | None) -> list[Difference]:
    """The fields that differ, those of ``before`` first in its own order. Defaults count as if they were written.

    Metrics are told apart by their labels, so that one that is added does not change all that stand after it.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> one, other = parse_plan(EXAMPLE), parse_plan(EXAMPLE.replace("0.5%", "1%"))
    >>> [(each.field, each.before, each.after) for each in differences(one, other)]
    [('metrics[error_rate].margin', '0.5%', '1%')]
    """
    ours, theirs = _fields(before), _fields(after)
    names = dict.fromkeys((*ours, *theirs))
    return [Difference(name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)]


def _fields(plan: Plan | None) -> dict[str, str]:
    if plan is None:
        return {}
    document = msgspec.to_builtins(plan, enc_hook=encode_hook)
    labels = [metric.label for metric in plan.metrics]
    document["metrics"] = dict(zip(labels, document["metrics"], strict=True))
    return {name: said for name, said in _flat(document, "") if said}


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, below in value.items():
            # Labels hold dots themselves.
            where = f"[{name}]" if path == "metrics" else f".{name}" if path else name
            yield from _flat(below, f"{path}{where}")
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{index}]")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    """As it would stand in a file; what says nothing, such as an empty list, is empty."""
    if value is None or value in ([], ()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
