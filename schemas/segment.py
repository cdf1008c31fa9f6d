"""Named segments: how a router tells from a request's attributes to which segment it belongs."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec
from semver import Version

from schemas.event import NAME_LENGTH_MAX
from schemas.file_errors import RuleError

NAMED_SEGMENTS_MAX = 16
CONDITIONS_MAX = 8
VALUES_MAX = 64
SEGMENTS_BYTES_MAX = 16_384
"""All of a plan's named segments as JSON: they go into every route."""


class VersionRange(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}
):
    """Semantic versions from one on and below another; without a bound, all on that side."""

    from_: str | None = None
    below: str | None = None


class NumberRange(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}
):
    """Numbers from one on and below another; without a bound, all on that side."""

    from_: float | None = None
    below: float | None = None


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"in_": "in"}):
    """What one attribute must be; exactly one question. An attribute that a request does not have answers no."""

    attribute: str
    equals: str | None = None
    in_: tuple[str, ...] | None = None
    prefix: str | None = None
    version: VersionRange | None = None
    number: NumberRange | None = None


class NamedSegment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for the requests for which all conditions hold."""

    name: str
    when: tuple[Condition, ...]


def check_named_segments(segments: tuple[NamedSegment, ...]) -> None:
    """Check what types cannot say; raises :class:`RuleError` with a path from the plan's root."""
    path = "$.segments"
    if len(segments) > NAMED_SEGMENTS_MAX:
        raise RuleError(path, f"found {len(segments)} named segments; allowed are {NAMED_SEGMENTS_MAX}")
    seen: set[str] = set()
    for index, segment in enumerate(segments):
        if not 1 <= len(segment.name) <= NAME_LENGTH_MAX or segment.name == "*":
            what = f"allowed are 1 to {NAME_LENGTH_MAX} characters, and not '*', which is everyone"
            raise RuleError(f"{path}[{index}].name", f"found {segment.name[:64]!r}; {what}")
        if segment.name in seen:
            raise RuleError(f"{path}[{index}].name", f"found {segment.name!r} twice; allowed once")
        seen.add(segment.name)
        if not 1 <= len(segment.when) <= CONDITIONS_MAX:
            raise RuleError(
                f"{path}[{index}].when", f"found {len(segment.when)} conditions; allowed are 1 to {CONDITIONS_MAX}"
            )
        for number, condition in enumerate(segment.when):
            _check_condition(condition, f"{path}[{index}].when[{number}]")
    size = len(msgspec.json.encode(segments))
    if size > SEGMENTS_BYTES_MAX:
        raise RuleError(path, f"found {size:,} bytes as JSON; allowed are {SEGMENTS_BYTES_MAX:,}: each route has them")


def _check_condition(condition: Condition, path: str) -> None:
    if not 1 <= len(condition.attribute) <= NAME_LENGTH_MAX:
        found = len(condition.attribute)
        raise RuleError(f"{path}.attribute", f"found {found} characters; allowed are 1 to {NAME_LENGTH_MAX}")
    asked = {
        "equals": condition.equals,
        "in": condition.in_,
        "prefix": condition.prefix,
        "version": condition.version,
        "number": condition.number,
    }
    given = [name for name, question in asked.items() if question is not None]
    if len(given) != 1:
        named = " and ".join(given) or "no question"
        raise RuleError(path, f"found {named}; allowed is exactly one of {', '.join(asked)}")
    texts = condition.in_ or tuple(text for text in (condition.equals, condition.prefix) if text is not None)
    if condition.in_ is not None and not 1 <= len(condition.in_) <= VALUES_MAX:
        raise RuleError(f"{path}.in", f"found {len(condition.in_)} values; allowed are 1 to {VALUES_MAX}")
    for text in texts:
        if len(text) > NAME_LENGTH_MAX:
            found = len(text)
            raise RuleError(f"{path}.{given[0]}", f"found {found} characters; allowed are at most {NAME_LENGTH_MAX}")
    if condition.prefix == "":
        raise RuleError(f"{path}.prefix", "found ''; allowed is at least one character")
    _check_range(path, condition.version or condition.number)


def _check_range(path: str, asked: VersionRange | NumberRange | None) -> None:
    if asked is None:
        return
    path += ".version" if isinstance(asked, VersionRange) else ".number"
    if asked.from_ is None and asked.below is None:
        raise RuleError(path, "found no bound; allowed are from, below, or both")
    low, high = _key(f"{path}.from", asked.from_), _key(f"{path}.below", asked.below)
    if low is not None and high is not None and low >= high:
        raise RuleError(f"{path}.below", f"found {asked.below}; allowed is more than from ({asked.from_})")


def _key(path: str, given: str | float | None) -> Any:
    """What bounds of one kind are compared by."""
    if not isinstance(given, str):
        if given is not None and not isfinite(given):
            raise RuleError(path, f"found {given:g}; allowed is a number")
        return given
    try:
        if len(given) <= NAME_LENGTH_MAX:
            return Version.parse(given, optional_minor_and_patch=True)
    except ValueError:
        pass
    raise RuleError(path, f"found {given[:64]!r}; allowed is a version such as 2.3.0 or 3.0.0-rc.1")
