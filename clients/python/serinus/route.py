"""The route as a router sees it: decoded strictly, because a wrong route must never open traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from serinus.segment import NamedSegment
from serinus.splitter import BUCKETS, Split, split_buckets

MAX_RECORD_BYTES = 65_536
MAX_LEASE_MS = 86_400_000
"""A canary whose share is valid for longer than a day would run unobserved; such a route is refused."""

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Weights = dict[_Name, Annotated[int, Meta(ge=0, le=BUCKETS)]]


class InvalidRouteError(ValueError):
    """A record is not a route; the text says what was found where."""


class Rule(Struct, frozen=True):
    """Segments with weights of their own; what the weights leave belongs to the route's fallback.

    Parameters
    ----------
    segments: names of segments; ``"*"`` is every segment.
    weights_ppm: share of each version in ppm, summing to at most 1,000,000.
    """

    segments: list[Annotated[str, Meta(max_length=256)]]
    weights_ppm: _Weights

    def __post_init__(self) -> None:
        if sum(self.weights_ppm.values()) > BUCKETS:
            raise ValueError(f"a rule's weights_ppm sum to {sum(self.weights_ppm.values())}, allowed: <= {BUCKETS}")


class Route(Struct, frozen=True):
    """One value of `canary.control`. Unknown fields are ignored: the writer may be newer than the reader.

    Parameters
    ----------
    service: the service that the route is for.
    epoch: fencing number; grows over all releases of the service.
    weights_ppm: share of each version in ppm, summing to exactly 1,000,000.
    fallback: version that answers when the lease has run out.
    salt: splits the units; one per release.
    issued_at_ms: when the worker issued or renewed the route, Unix ms.
    lease_ms: how long the shares are valid, ms, at most a day.
    rules: the first rule that names the request's segment decides before the weights do.
    segments: how to name a request's segment by its attributes.
    shadow_ppm: share of the requests in ppm of which a version gets copies, summing to at most 1,000,000.
    """

    service: _Name
    epoch: Annotated[int, Meta(ge=0, le=2**62)]
    weights_ppm: _Weights
    fallback: _Name
    salt: str
    issued_at_ms: Annotated[int, Meta(ge=0, le=2**62)]
    lease_ms: Annotated[int, Meta(gt=0, le=MAX_LEASE_MS)]
    release_id: str = ""
    state: str = ""
    rules: list[Rule] = []
    segments: list[NamedSegment] = []
    shadow_ppm: _Weights = {}
    type: str = "route"

    def __post_init__(self) -> None:
        if self.type != "route":
            raise ValueError(f"type is {self.type!r}, allowed: 'route'")
        if sum(self.weights_ppm.values()) != BUCKETS:
            raise ValueError(f"weights_ppm sum to {sum(self.weights_ppm.values())}, allowed: exactly {BUCKETS}")
        if sum(self.shadow_ppm.values()) > BUCKETS:
            raise ValueError(f"shadow_ppm sum to {sum(self.shadow_ppm.values())}, allowed: <= {BUCKETS}")

    @property
    def version(self) -> tuple[int, int]:
        """``(epoch, issued_at_ms)``: a route whose pair is not larger is not newer."""
        return self.epoch, self.issued_at_ms


_decoder = msgspec.json.Decoder(Route)


def decode_route(record: bytes) -> Route:
    """Decode and validate one value of `canary.control`.

    Parameters
    ----------
    record: JSON, at most 64 KiB.

    Raises
    ------
    InvalidRouteError: not JSON, a missing or mistyped field, a number out of its range, weights with a wrong sum.

    Examples
    --------
    >>> decode_route(b'{"service":"chat","epoch":4,"weights_ppm":{"v1":999999},"fallback":"v1","salt":"s",'
    ...              b'"issued_at_ms":1,"lease_ms":30000}')
    Traceback (most recent call last):
    serinus.route.InvalidRouteError: weights_ppm sum to 999999, allowed: exactly 1000000
    """
    if len(record) > MAX_RECORD_BYTES:
        raise InvalidRouteError(f"the record has {len(record)} bytes, allowed: <= {MAX_RECORD_BYTES}")
    try:
        return _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRouteError(str(error)) from error


def shadows_of(route: Route) -> Split | None:
    """Lay out who gets copies, over the same buckets as the shares; None when nobody does."""
    if not any(route.shadow_ppm.values()):
        return None
    return split_buckets(route.shadow_ppm, fallback=route.fallback, canaries=_canaries(route))


def _canaries(route: Route) -> list[str]:
    """All versions named anywhere in the route but the fallback, in the order of their homes."""
    named = set(route.weights_ppm).union(route.shadow_ppm, *(rule.weights_ppm for rule in route.rules))
    # Code points sort as UTF-8 bytes do; other languages must compare bytes, not UTF-16 units.
    return sorted(named - {route.fallback})


def splits_of(route: Route) -> tuple[Mapping[str, Split], Split]:
    """Lay out a route: the splits of the segments that have a rule, and the split of all others.

    The canaries are all versions named anywhere in the route but the fallback, in the order of their UTF-8 bytes.

    Examples
    --------
    >>> route = decode_route(b'{"service":"chat","epoch":4,"weights_ppm":{"v1":950000,"v2":50000},"fallback":"v1",'
    ...     b'"salt":"s","rules":[{"segments":["internal"],"weights_ppm":{"v2":1000000}}],'
    ...     b'"issued_at_ms":1,"lease_ms":30000}')
    >>> by_segment, default = splits_of(route)
    >>> by_segment["internal"].versions, default.versions
    (('v2',), ('v2', 'v1'))
    """
    canaries = _canaries(route)
    by_segment: dict[str, Split] = {}
    for rule in route.rules:
        split = split_buckets(rule.weights_ppm, fallback=route.fallback, canaries=canaries)
        if "*" in rule.segments:
            for segment in rule.segments:
                by_segment.setdefault(segment, split)
            return by_segment, by_segment["*"]
        for segment in rule.segments:
            by_segment.setdefault(segment, split)
    return by_segment, split_buckets(route.weights_ppm, fallback=route.fallback, canaries=canaries)
