"""Liveness, readiness, metrics, the description, forwarding."""

from __future__ import annotations

import asyncio
import re
import time

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from streams.http.forwarding import FORWARDED
from streams.http.health import QUIET_S, RECOVERY_S, STALLED_S, liveness, readiness
from streams.http.openapi import openapi
from streams.http.routes import routes
from streams.settings import Settings
from tests.streams.http.client import Client, Running, ask
from tests.streams.http.test_releases import STARTED


def test_alive_means_that_inputs_move() -> None:
    """A process that is up and does not read is not alive."""
    running = Running(STARTED)
    assert liveness(running.view, time.monotonic()).ok
    stalled = liveness(running.view, time.monotonic() + STALLED_S + 1)
    assert not stalled.ok
    assert "partition 0" in stalled.why[0]


def test_a_worker_that_waits_for_partitions_for_minutes_is_not_alive() -> None:
    """Recovery that never ends is a known ailment; only a new start heals it."""
    running = Running(STARTED)
    running.worker.registry.suspend()
    assert liveness(running.view, time.monotonic()).ok
    assert not liveness(running.view, time.monotonic() + RECOVERY_S + 1).ok


def test_ready_means_restored_caught_up_settled_and_every_service_judged() -> None:
    """Each of the five, missing, makes it not ready and is named."""
    running = Running(STARTED)
    assert "still reading" in readiness(running.view, time.monotonic()).why[0]
    running.worker.read()
    assert readiness(running.view, time.monotonic()).ok
    assert "not even a tick" in readiness(running.view, time.monotonic() + QUIET_S + 1).why[0]
    running.broker.is_rebalancing = True
    assert "distributed" in readiness(running.view, time.monotonic()).why[0]
    running.broker.is_rebalancing = False
    running.worker.partition.stuck["chat"] = "format 99"
    assert readiness(running.view, time.monotonic()).why == ["service 'chat' is not judged: format 99"]
    running.worker.registry.suspend()
    assert "not assigned" in readiness(running.view, time.monotonic()).why[0]


def test_nobody_is_told_of_empty_tables_before_the_log_is_read() -> None:
    """Restored and still reading, a worker says 503 with Retry-After: an empty table is an answer one would believe."""
    running = Running(STARTED)

    async def run() -> None:
        async with TestClient(TestServer(running.application())) as client:
            for path in ("/v1/services", "/v1/services/chat/windows", "/v1/services/chat/release"):
                response = await client.get(path)
                assert (response.status, response.headers["Retry-After"]) == (503, "2"), path
            await running.worker.read_all()
            for path in ("/v1/services", "/v1/services/chat/windows", "/v1/services/chat/release"):
                assert (await client.get(path)).status == 200, path
        await running.view.close()

    asyncio.run(run())


def test_the_paths_answer_with_the_right_status() -> None:
    """200 when well, 503 when not."""
    running = Running(STARTED)

    async def questions(client: Client) -> None:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 200
        running.worker.registry.suspend()
        assert (await client.get("/readyz")).status == 503
        response = await client.get("/v1/services/chat/release")
        assert (response.status, response.headers["Retry-After"]) == (503, "2")

    ask(running, questions)


def test_metrics_show_weights_verdicts_and_decisions() -> None:
    """Prometheus text that its own parser reads."""

    async def questions(client: Client) -> None:
        text = await (await client.get("/metrics")).text()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        shares = {sample.labels["version"]: sample.value for sample in families["serinus_weight_ratio"].samples}
        assert shares == {"v1": 0.99, "v2": 0.01}
        in_force = [s.labels["verdict"] for s in families["serinus_verdict"].samples if s.value]
        assert in_force == ["NO_DATA"]
        actions = [s.labels["action"] for s in families["serinus_decisions"].samples if s.name.endswith("_total")]
        assert actions == ["start"]
        assert families["serinus_worker_inputs_lag"].samples[0].value == 0

    ask(Running(STARTED), questions)


def test_every_route_is_described_and_every_description_is_routed() -> None:
    """The OpenAPI document and the routes cannot drift apart."""
    routed = {(route.path, route.method.lower()) for route in routes(Running([]).view)}
    described = {(path, method) for path, item in openapi()["paths"].items() for method in item}
    assert described == routed


def test_every_reference_of_the_description_resolves() -> None:
    """Each $ref names a schema that is there."""
    document = openapi()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names <= document["components"]["schemas"].keys()


def test_a_request_is_forwarded_once_to_the_owner() -> None:
    """A worker without the service passes the question on; one that was asked by a worker never does."""

    async def run() -> None:
        owner = Running(STARTED)
        await owner.worker.read_all()
        other = Running([], settings=Settings(http_port=1))
        other.worker.registry.owned = {}
        async with (
            TestClient(TestServer(owner.application())) as at_owner,
            TestClient(TestServer(other.application())) as at_other,
        ):
            path = "/v1/services/chat/release"
            response = await at_other.get(path)
            assert response.status == 503, "nobody knows the owner yet"
            other.broker.owned_by = {0: str(at_owner.make_url("/")).rstrip("/")}
            response = await at_other.get(path)
            assert (response.status, (await response.json())["epoch"]) == (200, 1)
            listed = await (await at_other.get("/v1/services")).json()
            assert [entry["service"] for entry in listed["services"]] == ["chat"]
            missing = await at_other.get("/v1/services/nobody/windows")
            assert missing.status == 404
            response = await at_other.get(path, headers={FORWARDED: "1"})
            assert response.status == 503
            other.broker.owned_by = {0: "http://127.0.0.1:9"}
            response = await at_other.get(path)
            assert response.status == 503
            assert "does not answer" in (await response.json(content_type=None))["detail"]
        await other.view.close()
        await owner.view.close()

    asyncio.run(run())
