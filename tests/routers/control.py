"""Routes on `canary.control`, as a worker would write them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from schemas.decision import State
from schemas.route import Route, encode_route
from schemas.rule import Rule
from streams.kafka import producer
from streams.settings import Settings
from streams.topics import CONTROL

SALT = "chat-2026-11-20T10:00:00Z-1"


class Control:
    """Writes one route after another, each of a later epoch.

    Parameters
    ----------
    settings : broker and prefix of the topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic, self._client = settings.topic(CONTROL), producer(settings, "test")
        self.epoch = 0

    def publish(
        self,
        canary_ppm: int,
        *,
        lease_ms: int = 30_000,
        rules: Mapping[str, int] | None = None,
        renew: bool = False,
    ) -> float:
        """Write a route of ``v1`` and ``v2``; returns when that began, by the monotonic clock.

        Parameters
        ----------
        canary_ppm : share of ``v2``.
        rules : its share by segment.
        renew : of the same epoch.
        """
        self.epoch += not renew
        route = Route(
            "chat",
            "chat-1",
            self.epoch,
            State.RAMPING,
            {"v1": 1_000_000 - canary_ppm, "v2": canary_ppm},
            "v1",
            SALT,
            time.time_ns() // 1_000_000,
            lease_ms,
            tuple(Rule((segment,), {"v2": ppm}) for segment, ppm in (rules or {}).items()),
        )
        began_s = time.monotonic()
        self._client.produce(self._topic, encode_route(route), b"chat")
        assert self._client.flush(10) == 0
        return began_s

    def close(self) -> None:
        """Leave the broker."""
        self._client.flush(5)
