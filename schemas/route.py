"""Routes: what routers follow, on the compacted topic ``canary.control``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.decision import State
from schemas.decoding import decoded
from schemas.rule import Rule
from schemas.segment import NamedSegment

LEASE_MS = 30_000
"""A canary's share is valid for this long after it was received."""

RENEW_MS = 10_000
"""The worker publishes the route in force again this often."""


class Route(msgspec.Struct, frozen=True, tag="route", tag_field="type"):
    """Who serves which share, until the lease runs out. Weights are parts per million and add up to 1,000,000.

    A renewal has the same epoch and a later ``issued_at_ms``; a router drops what is not newer by
    ``(epoch, issued_at_ms)`` and returns to ``fallback`` when the lease has run out.
    """

    service: str
    release_id: str
    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    state: State
    weights_ppm: dict[str, int]
    fallback: str
    salt: str
    issued_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    lease_ms: int = LEASE_MS
    rules: tuple[Rule, ...] = ()
    segments: tuple[NamedSegment, ...] = ()
    """How to name the segment of a request by its attributes."""
    shadow_ppm: dict[str, int] = {}
    """Who gets copies of which share of the requests; their answers are not used."""


encode_route = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Route)


def decode_route(raw: bytes) -> Route:
    """Decode a record of ``canary.control``; raises :class:`msgspec.DecodeError`."""
    return decoded(_decoder.decode, raw)
