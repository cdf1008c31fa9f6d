"""``GET /v1/stream``: decisions and windows as server-sent events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from streams.http.forwarding import forward
from streams.http.problem import ProblemError
from streams.http.worker_view import WorkerView
from streams.worker.subscribers import Subscription, TooManySubscribersError

PING_S = 10.0
"""A comment goes out at least this often, so that a listener that is gone is noticed."""


async def stream(view: WorkerView, request: web.Request) -> web.StreamResponse:
    """What happens to one service (``?service=``, wherever it lives), or to all services of this worker."""
    service = request.query.get("service")
    if service is not None and view.holder(service) is None:
        return await forward(view, request, service)
    try:
        with view.registry.subscribers.subscribe(service) as subscription:
            return await _told(view, request, subscription)
    except TooManySubscribersError as error:
        raise ProblemError(503, "too busy", str(error)) from error


async def _told(view: WorkerView, request: web.Request, subscription: Subscription) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    await response.write(b"retry: 2000\n\n")
    assignment = view.registry.assignments
    # After a rebalance the service may live elsewhere: the listener connects again and is sent there.
    while view.registry.assignments == assignment and not view.registry.closing:
        try:
            happening = await asyncio.wait_for(subscription.next(), PING_S)
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        await response.write(b"event: %s\ndata: %s\n\n" % (happening.kind.encode(), happening.body))
    await response.write_eof()
    return response
