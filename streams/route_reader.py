"""The routes in force, as `canary.control` has them."""

from __future__ import annotations

import msgspec

from schemas.route import Route, decode_route
from streams.kafka_reader import read_to_end
from streams.settings import Settings
from streams.topics import CONTROL


def read_routes(settings: Settings) -> dict[str, Route]:
    """The newest route of each service on ``canary.control``; raises UnreachableError."""
    return routes_and_strays(settings)[0]


def routes_and_strays(settings: Settings) -> tuple[dict[str, Route], int]:
    """The same, and how many records are no routes."""
    routes: dict[str, Route] = {}
    strays = 0
    for message in read_to_end(settings, settings.topic(CONTROL)):
        try:
            route = decode_route(message.value() or b"")
        except msgspec.DecodeError:
            # Somebody else's record, or a tombstone: it cannot be newer than ours.
            strays += message.value() is not None
            continue
        known = routes.get(route.service)
        if known is None or (route.epoch, route.issued_at_ms) > (known.epoch, known.issued_at_ms):
            routes[route.service] = route
    return routes, strays
