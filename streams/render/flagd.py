"""A flag of flagd whose variants are the versions: rules by segment, and the splitter's own ranges as fractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serinus.splitter import BUCKETS, Split, split_buckets
from streams.in_force import InForce
from streams.render.groups import Group, carrier, groups, versions

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
_UNIT = {"var": "targetingKey"}


def flags(now: InForce, *, flag: str, segment: str | None) -> dict[str, Any]:
    """What is in force as a flag that evaluates to the name of a version.

    A canary's fractions lie where the splitter lays its buckets, so a ramp only adds units here too. Which units these
    are is up to flagd: its kinds of SDK hash a key in different ways. A request without a ``targetingKey`` gets the
    fallback wherever there is anything to draw: one key for all of them would send all of them to one version.

    Parameters
    ----------
    flag : key of the flag.
    segment : the attribute of the evaluation context that carries a request's segment.

    Raises
    ------
    InexpressibleError : rules by segment, and nothing is named that carries it.

    Examples
    --------
    >>> now = InForce("chat", {"v1": 999_990, "v2": 10}, "v1", epoch=7, release_id="chat-1", salt="s")
    >>> flag = flags(now, flag="chat", segment=None)["flags"]["chat"]
    >>> flag["defaultVariant"], flag["targeting"]["if"][1]
    ('v1', {'fractional': [{'cat': ['s:', {'var': 'targetingKey'}]}, ['v2', 10], ['v1', 999990]]})
    """
    named = versions(now)
    found = groups(now)
    targeting = _targeting(now, found, named[:-1], carrier(found, segment))
    return {
        "$schema": SCHEMA,
        "flags": {
            flag: {
                "state": "ENABLED",
                "variants": {version: version for version in named},
                "defaultVariant": now.fallback,
                "targeting": _rule(targeting, now.fallback),
                "metadata": _source(now),
            }
        },
    }


def _targeting(now: InForce, found: Sequence[Group], canaries: Sequence[str], segment: str) -> Any:
    *asked, everyone = (
        (group.segments, _served(now, split_buckets(group.shares_ppm, fallback=now.fallback, canaries=canaries)))
        for group in found
    )
    if not asked:
        return everyone[1]
    parts: list[Any] = []
    for segments, served in asked:
        # `var` has a default so that a request without the attribute is one of the segment "", as for a router.
        parts += [{"in": [{"var": [segment, ""]}, list(segments)]}, served]
    return {"if": [*parts, everyone[1]]}


def _served(now: InForce, split: Split) -> Any:
    if len(split.versions) == 1:
        return split.versions[0]
    edges = [0, *split.bounds, BUCKETS]
    parts = [[version, high - low] for version, low, high in zip(split.versions, edges, edges[1:], strict=False)]
    return {"if": [{"!!": [_UNIT]}, {"fractional": [{"cat": [f"{now.salt}:", _UNIT]}, *parts]}, now.fallback]}


def _rule(targeting: Any, fallback: str) -> dict[str, Any]:
    """A targeting is a rule, never a name; none leaves everybody on the default variant."""
    if isinstance(targeting, dict):
        return targeting
    return {} if targeting == fallback else {"if": [True, targeting, fallback]}


def _source(now: InForce) -> dict[str, str | int]:
    if now.epoch is None:
        return {"fallback": now.reason}
    return {"epoch": now.epoch, "releaseId": now.release_id}
