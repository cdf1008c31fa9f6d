"""What any target must say: which requests, in which order, and who serves which share of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.units import PPM
from streams.in_force import InForce

EVERYONE = "*"


class InexpressibleError(ValueError):
    """The target has no way to say what is in force, or was not told how; nothing is rendered then."""


@dataclass(frozen=True, slots=True)
class Group:
    """Requests of some segments, or all that no group before has taken, and who serves them.

    Parameters
    ----------
    segments : names; empty for everyone who is left.
    shares_ppm : canaries first, by name, then the fallback; none at 0; the sum is exactly 1,000,000.
    """

    segments: tuple[str, ...]
    shares_ppm: Mapping[str, int]


def groups(now: InForce) -> tuple[Group, ...]:
    """The groups in the order in which they are asked; the last one is everyone who is left.

    Nothing after a rule for everyone is ever asked. It must be gone here: a gateway that prefers the longer match would
    ask it after all.

    Raises
    ------
    InexpressibleError : copies are asked for.

    Examples
    --------
    >>> from schemas.rule import Rule
    >>> rules = (Rule(("beta",), {"v2": 50_000}), Rule(("beta", "*"), {}), Rule(("eu",), {"v2": 1_000_000}))
    >>> for group in groups(InForce("chat", {"v1": 0, "v2": 1_000_000}, "v1", rules=rules)):
    ...     print(group.segments, dict(group.shares_ppm))
    ('beta',) {'v2': 50000, 'v1': 950000}
    () {'v1': 1000000}
    """
    refuse_copies(now)
    found: list[Group] = []
    for rule in now.rules:
        if EVERYONE in rule.segments:
            return (*found, Group((), _shares(rule.weights_ppm, now.fallback)))
        if rule.segments:
            found.append(Group(rule.segments, _shares(rule.weights_ppm, now.fallback)))
    return (*found, Group((), _shares(now.weights_ppm, now.fallback)))


def refuse_copies(now: InForce) -> None:
    """Raise :class:`InexpressibleError` if copies are asked for: nobody could tell a proxy's copy from a request."""
    if any(now.shadow_ppm.values()):
        copied = ", ".join(version for version, share in now.shadow_ppm.items() if share)
        raise InexpressibleError(
            f"it asks for copies to {copied}, and their events must be marked, which a service does"
        )


def _shares(weights_ppm: Mapping[str, int], fallback: str) -> dict[str, int]:
    canaries = {version: weights_ppm[version] for version in sorted(weights_ppm) if version != fallback}
    shares = {**canaries, fallback: PPM - sum(canaries.values())}
    return {version: share for version, share in shares.items() if share}


def versions(now: InForce) -> list[str]:
    """Every version that a route names, the canaries by name and the fallback last.

    >>> versions(InForce("chat", {"v1": 1_000_000, "v3": 0, "v2": 0}, "v1"))
    ['v2', 'v3', 'v1']
    """
    named = set(now.weights_ppm).union(*(rule.weights_ppm for rule in now.rules))
    return [*sorted(named - {now.fallback}), now.fallback]


def carrier(found: Sequence[Group], segment: str | None) -> str:
    """What carries a request's segment, a header or an attribute; not looked at where no group asks for one.

    Raises
    ------
    InexpressibleError : groups ask for segments and nothing is named that carries them.
    """
    asked = [name for group in found for name in group.segments]
    if asked and segment is None:
        raise InexpressibleError(f"it has rules for {', '.join(map(repr, asked))}: say by --segment what carries it")
    return segment or ""


def header_of(found: Sequence[Group], header: str | None) -> str:
    """The :func:`carrier`, where it is a header; raises :class:`InexpressibleError` for the segment "" as well."""
    if any("" in group.segments for group in found):
        raise InexpressibleError("it has a rule for requests without a segment, and no header can be asked to be none")
    return carrier(found, header)


def named_by_attributes(now: InForce) -> list[str]:
    """The segments that rules ask for and that routers of the client library name by attributes.

    >>> from schemas.rule import Rule
    >>> from schemas.segment import Condition, NamedSegment
    >>> named = (NamedSegment("long", (Condition("tokens", equals="9"),)), NamedSegment("pro", ()))
    >>> rules = (Rule(("long",), {"v2": 50_000}),)
    >>> named_by_attributes(InForce("chat", {"v1": 1_000_000}, "v1", rules=rules, segments=named))
    ['long']
    """
    asked = {name for group in groups(now) for name in group.segments}
    return [segment.name for segment in now.segments if segment.name in asked]
