"""Any worker answers for any service: a request that belongs elsewhere is forwarded, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from streams.http.problem import unsettled
from streams.http.worker_view import WorkerView
from streams.worker.partition import Partition

FORWARDED = "Serinus-Forwarded"

_PASSED = ("Accept", "Authorization", "Content-Type", "Last-Event-ID")
_RETURNED = ("Content-Type", "Retry-After", "Cache-Control")

ServiceHandler = Callable[[web.Request, str, Partition], Awaitable[web.StreamResponse]]


def at_owner(view: WorkerView, handler: ServiceHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Let a handler run where the service of the path lives."""

    async def handle(request: web.Request) -> web.StreamResponse:
        service = request.match_info["service"]
        partition = view.holder(service)
        if partition is not None:
            return await handler(request, service, partition)
        return await forward(view, request, service)

    return handle


async def forward(view: WorkerView, request: web.Request, service: str) -> web.StreamResponse:
    """Ask the owner of a service, and pass its answer on as it comes.

    Raises
    ------
    streams.http.problem.ProblemError : 503 when the owner is not known or does not answer, or when the request was
        forwarded before: two workers that disagree must not send it to and fro.
    """
    url = view.owner_url(service)
    if request.headers.get(FORWARDED) or url is None:
        raise unsettled(f"no worker is known to look after {service!r} now; ask again in a moment")
    body = await request.read() if request.can_read_body else None
    try:
        async with view.session().request(
            request.method, url.rstrip("/") + request.path_qs, headers=passed(request), data=body
        ) as found:
            return await _passed_on(request, found)
    except (TimeoutError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise unsettled(f"the worker at {url} does not answer: {error or type(error).__name__}") from error


def passed(request: web.Request) -> dict[str, str]:
    """The headers with which another worker is asked in place of this one: the same person asks."""
    return {name: request.headers[name] for name in _PASSED if name in request.headers} | {FORWARDED: "1"}


async def _passed_on(request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = {name: found.headers[name] for name in _RETURNED if name in found.headers}
    response = web.StreamResponse(status=found.status, headers=kept)
    await response.prepare(request)
    async for chunk in found.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response
