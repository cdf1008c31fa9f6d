"""The examples run: one Router and one Emitter in an asyncio service, and in plain threads."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from examples.batch_worker import worker
from examples.chat_service.load import run
from examples.chat_service.models import FakeModel
from examples.chat_service.service import build_app
from serinus import Emitter, Router
from serinus.event import Emitted, EventEncoder

NOWHERE = "127.0.0.1:1"


def queued(emitter: Emitter) -> list[dict[str, Any]]:
    encoder = EventEncoder(emitter.service)
    return [msgspec.json.decode(encoder.encode(Emitted(*arguments))[1]) for arguments in emitter._queue]


def test_chat_service_answers_and_reports() -> None:
    """Every answer has one event, with the version that the router chose, errors included; bad requests have none."""

    async def main() -> None:
        emitter = Emitter(service="chat", brokers=NOWHERE, start=False)
        router = Router.static({"v1": 500_000, "v2": 500_000}, fallback="v1", service="chat")
        models = [FakeModel("v1", 1.0, 0.0), FakeModel("v2", 1.0, 1.0)]
        async with TestClient(TestServer(build_app(router, emitter, models))) as client:
            counts = await run(str(client.make_url("")).rstrip("/"), rate=400, seconds=0.5, users=100)
            assert (await client.post("/chat", data=b"no json")).status == 400
            health = await (await client.get("/healthz")).json()
            events = queued(emitter)
            emitter.close(0)
        assert set(counts) == {"v1 ok", "v2 failed"}
        served = [(event["version"], event.get("error", False)) for event in events]
        assert served.count(("v1", False)) == counts["v1 ok"]
        assert served.count(("v2", True)) == counts["v2 failed"]
        assert len(served) == sum(counts.values()) == health["emitter"]["queued"]
        assert {event["segment"] for event in events} == {"eu", "us", "asia"}
        assert all(event["epoch"] == 0 and "unit" in event for event in events)

    asyncio.run(main())


def test_batch_worker_keeps_order_and_reports() -> None:
    """Results come in the order of the lines, one event each, from several threads."""
    emitter = Emitter(service="sentiment", brokers=NOWHERE, start=False)
    router = Router.static({"v1": 500_000, "v2": 500_000}, fallback="v1")
    lines = [f"customer-{number}\t{'bad' if number % 2 else 'good'}\n" for number in range(60)]
    results = list(worker.run(lines, router, emitter, threads=4))
    assert [result["class"] for result in results] == ["positive", "negative"] * 30
    assert [event["version"] for event in queued(emitter)].count("v2") == [r["version"] for r in results].count("v2")
    assert len(queued(emitter)) == 60
    emitter.close(0)
