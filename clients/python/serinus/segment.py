"""Named segments: to which one a request belongs, by its attributes. The specification is `docs/splitting.md`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Annotated

from msgspec import Meta, Struct
from semver import Version

Attributes = Mapping[str, str | int | float | bool]
"""What a service knows of a request: app version, country, number of tokens."""

_TEXT_MAX = 256
_Text = Annotated[str, Meta(max_length=_TEXT_MAX)]
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class VersionRange(Struct, frozen=True, omit_defaults=True, rename={"from_": "from"}):
    """From one semantic version on, below another; None: no bound."""

    from_: _Text | None = None
    below: _Text | None = None

    def __post_init__(self) -> None:
        for bound in (self.from_, self.below):
            if bound is not None and _version(bound) is None:
                raise ValueError(f"{bound!r} is no semantic version")

    def holds(self, found: object) -> bool:
        """Whether a text is a version within the range, by the precedence of semver.org 2.0.0, item 11."""
        version = _version(found)
        if version is None:
            return False
        low, high = _version(self.from_), _version(self.below)
        return (low is None or version >= low) and (high is None or version < high)


class NumberRange(Struct, frozen=True, omit_defaults=True, rename={"from_": "from"}):
    """From one number on, below another; None: no bound."""

    from_: float | None = None
    below: float | None = None

    def holds(self, found: object) -> bool:
        """Whether a number, or a text that JSON would read as one, is within the range."""
        number = _number(found)
        if number is None:
            return False
        return (self.from_ is None or number >= self.from_) and (self.below is None or number < self.below)


class Condition(Struct, frozen=True, omit_defaults=True, rename={"in_": "in"}):
    """One question about one attribute; a request without the attribute answers no.

    Raises
    ------
    ValueError: none of the questions known here, or several: a newer writer asks what this reader cannot answer.
    """

    attribute: _Text
    equals: _Text | None = None
    in_: list[_Text] | None = None
    prefix: _Text | None = None
    version: VersionRange | None = None
    number: NumberRange | None = None

    def __post_init__(self) -> None:
        asked = sum(asked is not None for asked in (self.equals, self.in_, self.prefix, self.version, self.number))
        if asked != 1:
            raise ValueError(f"a condition asks {asked} known questions, allowed: exactly 1")

    def holds(self, attributes: Attributes) -> bool:
        """Whether a request with these attributes is meant."""
        found = attributes.get(self.attribute)
        if found is None:
            return False
        if self.number is not None:
            return self.number.holds(found)
        if self.version is not None:
            return self.version.holds(found)
        text = _text(found)
        if text is None:
            return False
        if self.prefix is not None:
            return text.startswith(self.prefix)
        return text == self.equals if self.in_ is None else text in self.in_


class NamedSegment(Struct, frozen=True):
    """A name for the requests for which all conditions hold."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    when: Annotated[list[Condition], Meta(min_length=1)]


def segment_of(segments: Sequence[NamedSegment], attributes: Attributes) -> str:
    """Return the name of the first segment all of whose conditions hold, or "" when there is none.

    Examples
    --------
    >>> app = Condition("app", version=VersionRange(from_="2.3.0", below="3.0.0"))
    >>> named = [NamedSegment("new-app", [app]), NamedSegment("long", [Condition("tokens", number=NumberRange(8000))])]
    >>> [segment_of(named, it) for it in ({"app": "2.10.1"}, {"app": "3.0.0", "tokens": 9000}, {"tokens": "many"}, {})]
    ['new-app', 'long', '', '']
    """
    for segment in segments:
        if all(condition.holds(attributes) for condition in segment.when):
            return segment.name
    return ""


def _version(found: object) -> Version | None:
    return _parsed(found) if isinstance(found, str) and len(found) <= _TEXT_MAX else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Version | None:
    try:
        return Version.parse(text, optional_minor_and_patch=True)
    except ValueError:
        return None


def _number(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    if isinstance(found, str) and not (len(found) <= _TEXT_MAX and _JSON_NUMBER.fullmatch(found)):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _text(found: object) -> str | None:
    """Fractions have no one way to be written, so they are no text."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int) else None
