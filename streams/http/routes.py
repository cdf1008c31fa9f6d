"""All paths of the worker's HTTP interface, in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from streams.http import health, live, openapi, orders, release, windows
from streams.http.access import access
from streams.http.forwarding import at_owner
from streams.http.problem import problems
from streams.http.tokens import Tokens
from streams.http.worker_view import WorkerView

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(tokens: Tokens | None = None) -> list[Any]:
    """What every request passes through, outermost first."""
    return [problems, access(tokens)]


def routes(view: WorkerView) -> list[web.RouteDef]:
    """The contract's paths. Each handler says what it does; :mod:`streams.http.openapi` describes them."""
    one = "/v1/services/{service}"
    return [
        web.get("/v1/services", _of(view, windows.services)),
        web.get(f"{one}/windows", at_owner(view, windows.windows)),
        web.get(f"{one}/release", at_owner(view, release.release)),
        web.get(f"{one}/decisions", at_owner(view, partial(release.decisions, view))),
        web.post(f"{one}/release", at_owner(view, partial(orders.start_release, view))),
        web.post(f"{one}/release/commands", at_owner(view, partial(orders.command, view))),
        web.get("/v1/stream", _of(view, live.stream)),
        web.get("/v1/openapi.json", openapi.document),
        web.get("/healthz", _of(view, health.healthz)),
        web.get("/readyz", _of(view, health.readyz)),
        web.get("/metrics", _of(view, health.metrics)),
    ]


def _of(view: WorkerView, handler: Callable[[WorkerView, web.Request], Awaitable[web.StreamResponse]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(view, request)

    return handle
