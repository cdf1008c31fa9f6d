"""What a router says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RouterState:
    """What a health page shows.

    Parameters
    ----------
    service, fallback, topic: as configured; the fallback is the route's own once there is one.
    on_fallback: whether every request goes to the fallback now.
    reason: why, in one sentence; empty while the lease holds.
    epoch, release_id, release_state, weights_ppm: of the newest route.
    lease_remaining_ms: until the fallback takes over, 0 if it has.
    connected: whether the control topic could be read at the last look.
    records: number of records by outcome.
    choose_failures: requests that got the fallback because their arguments could not be used.
    last_error: what was wrong with the last invalid route.
    salt, rules, segments, shadow_ppm: of the newest route, for who splits by other means; as in the route's JSON.
    """

    service: str
    fallback: str
    topic: str
    on_fallback: bool
    reason: str
    epoch: int | None
    release_id: str
    release_state: str
    weights_ppm: dict[str, int]
    lease_remaining_ms: int
    connected: bool
    records: dict[str, int]
    choose_failures: int
    last_error: str
    salt: str = ""
    rules: tuple[dict[str, Any], ...] = ()
    segments: tuple[dict[str, Any], ...] = ()
    shadow_ppm: dict[str, int] = field(default_factory=dict)
