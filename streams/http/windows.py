"""``GET /v1/services`` and ``GET /v1/services/{service}/windows``: the tables that operators query."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
from aiohttp import web

from streams.http.forwarding import FORWARDED, passed
from streams.http.json_answer import json_answer
from streams.http.problem import ProblemError, unknown_service, unsettled
from streams.http.window_query import page_of, parse_query, touched
from streams.http.worker_view import WorkerView
from streams.worker.partition import Partition


class ServiceEntry(msgspec.Struct, frozen=True):
    """One service in the list. ``stuck`` says why it is not judged."""

    service: str
    partition: int
    state: str | None = None
    verdict: str | None = None
    now_ms: int | None = None
    stuck: str | None = None


class ServiceList(msgspec.Struct, frozen=True):
    """All services. ``missing`` names workers that did not answer: their services are not in the list."""

    services: list[ServiceEntry]
    missing: list[str] = []


async def windows(request: web.Request, service: str, partition: Partition) -> web.StreamResponse:
    """The windowed statistics of one service."""
    known = partition.services.get(service)
    if known is None and service in partition.stuck:
        raise ProblemError(503, "not judged", partition.stuck[service], service=service)
    if known is None:
        raise unknown_service(service)
    query = parse_query(request.query, now_ms=known.stored.now_ms)
    found = touched(partition, service, query)
    # Merging histograms of many panes takes a while, and the fold must go on meanwhile.
    return json_answer(await asyncio.to_thread(page_of, service, found, query))


def entries(view: WorkerView) -> list[ServiceEntry]:
    """The services of this worker."""
    found = []
    for number, owned in view.registry.owned.items():
        partition = owned.partition
        for name in partition.services.keys() | partition.stuck.keys():
            service = partition.services.get(name)
            release = service.stored.release.release if service is not None else None
            found.append(
                ServiceEntry(
                    service=name,
                    partition=number,
                    state=release.state.value if release else None,
                    verdict=release.assessment.verdict.value if release else None,
                    now_ms=service.stored.now_ms if service is not None else None,
                    stuck=partition.stuck.get(name),
                )
            )
    return sorted(found, key=lambda entry: entry.service)


async def services(view: WorkerView, request: web.Request) -> web.StreamResponse:
    """The services of all workers."""
    if not view.caught_up:
        raise unsettled("partitions are being distributed or read back; ask again in a moment")
    own = ServiceList(entries(view))
    if request.headers.get(FORWARDED):
        return json_answer(own)
    found, missing = list(own.services), []
    urls = view.other_urls()
    for url, answer in zip(
        urls, await asyncio.gather(*(_asked(view, url, passed(request)) for url in urls)), strict=True
    ):
        if answer is None:
            missing.append(url)
        else:
            found += answer.services
    return json_answer(ServiceList(sorted(found, key=lambda entry: entry.service), missing))


async def _asked(view: WorkerView, url: str, headers: dict[str, str]) -> ServiceList | None:
    try:
        async with view.session().get(f"{url.rstrip('/')}/v1/services", headers=headers) as found:
            return msgspec.json.decode(await found.read(), type=ServiceList) if found.status == 200 else None
    except (TimeoutError, aiohttp.ClientError, msgspec.DecodeError):
        return None
