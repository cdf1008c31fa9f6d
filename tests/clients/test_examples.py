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
        assert {event["segment"] for event in events} == {"internal", "beta", "public"}
        assert all(event["epoch"] == 0 and "unit" in event for event in events)

    asyncio.run(main())


def test_chat_service_takes_feedback() -> None:
    """A rating counts to the version that answered and says how late it is; clocks that disagree make it 0, and what is
    no rating is refused."""

    async def main() -> None:
        emitter = Emitter(service="chat", brokers=NOWHERE, start=False)
        router = Router.static({"v2": 1_000_000}, fallback="v1", service="chat")
        async with TestClient(TestServer(build_app(router, emitter, [FakeModel("v2", 1.0, 0.0)]))) as client:
            answer = await (await client.post("/chat", json={"user": "u1", "prompt": "?", "segment": "eu"})).json()
            rated = {"user": "u1", "segment": "eu", "version": answer["version"], "rating": 4}
            for late_ms in (300_000, -60_000):
                answered_ms = answer["answered_ms"] - late_ms
                response = await client.post("/feedback", json={**rated, "answered_ms": answered_ms})
                assert response.status == 202
            assert (await client.post("/feedback", json=rated)).status == 400
            asked, late, early = queued(emitter)
            emitter.close(0)
        assert (late["kind"], late["version"], late["values"]) == ("feedback", "v2", {"rating": 4.0})
        assert 300_000 <= late["latency_ms"] < 360_000 and early["latency_ms"] == 0
        assert late["unit"] == asked["unit"]

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
