"""The HTTP interface of a running worker answers as the contract says, in shape and in status."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.plans import stages
from tests.e2e.tally import as_json

PATHS = {
    "/v1/services",
    "/v1/services/{service}/windows",
    "/v1/services/{service}/release",
    "/v1/services/{service}/release/commands",
    "/v1/services/{service}/decisions",
    "/v1/stream",
    "/healthz",
    "/readyz",
    "/metrics",
}
DECISION_FIELDS = {
    *("type", "service", "release_id", "epoch", "at_ms", "action", "state", "verdict", "weights_ppm"),
    *("actor", "reason", "through", "evidence"),
}

pytestmark = pytest.mark.kafka


def send(stack: Stack, service: str, events: int) -> None:
    """Events of two versions, now, and wait until they are counted."""
    producer, now_ms = Producer({"bootstrap.servers": stack.pipeline.brokers}), int(time.time() * 1000)
    for i in range(events):
        event = as_json(service=service, version=f"v{1 + i % 2}", ts_ms=now_ms, latency_ms=10 + i, segment="eu")
        producer.produce(stack.pipeline.topic("inference.events"), event)
    assert producer.flush(20) == 0
    wait_for(lambda: stack.worker.counted(service) >= events, 20, what=service, dump=stack.pipeline.logs)


def problem(stack: Stack, path: str, body: bytes | None = None) -> dict[str, Any]:
    """The problem document of a request that must fail."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{stack.worker.url}{path}", data=body), timeout=10)
    with caught.value as error:
        assert error.headers["Content-Type"].startswith("application/problem+json")
        document: dict[str, Any] = json.load(error)
        assert document["status"] == error.code
    assert document.keys() >= {"type", "title", "status", "detail"}
    return document


def test_every_path_is_described(stack: Stack) -> None:
    """The OpenAPI document names every path of the contract, and each answer refers to a type that is there."""
    document = stack.worker.get("/v1/openapi.json")
    assert document["openapi"].startswith("3.")
    assert document["paths"].keys() >= PATHS
    text = json.dumps(document)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= document["components"]["schemas"].keys()


def test_windows(stack: Stack) -> None:
    """A row of the windows table has bounds, arms, counts, and each metric's mean, sd and quantiles."""
    send(stack, "tabled", 40)
    row = stack.worker.rows("tabled")[0]
    assert row.keys() >= {"start_ms", "end_ms", "version", "segment", "n", "errors", "error_rate", "metrics", "labels"}
    assert (row["version"], row["segment"], row["n"], row["error_rate"]) == ("v1", "eu", 20, 0.0)
    assert row["metrics"]["latency_ms"].keys() >= {"n", "mean", "sd", "p50", "p95", "p99"}
    assert row["metrics"]["latency_ms"]["mean"] == pytest.approx(29.0)


def test_release_and_commands(stack: Stack) -> None:
    """A release is started, paused and aborted over HTTP; each answer is a decision, and the history has all three."""
    service = "released"
    send(stack, service, 20)
    one = f"/v1/services/{service}"
    assert stack.worker.get(f"{one}/release")["state"] is None
    started = stack.worker.post(f"{one}/release?actor=ann&reason=try", stages(service, ("1%", "10m")).encode())
    assert started.keys() >= DECISION_FIELDS
    assert (started["action"], started["actor"], started["weights_ppm"]["v2"]) == ("start", "ann", 10_000)
    now = stack.worker.get(f"{one}/release")
    assert (now["state"], now["release_id"], now["epoch"]) == ("ramping", started["release_id"], started["epoch"])
    for verb, state in (("pause", "paused"), ("abort", "aborted")):
        answer = stack.worker.post(f"{one}/release/commands", as_json(command=verb, reason="a test", actor="ann"))
        assert (answer["action"], answer["state"]) == (verb, state)
    found = stack.worker.get(f"{one}/decisions")["decisions"]
    assert [decision["action"] for decision in found] == ["start", "pause", "abort"]
    assert all(decision.keys() >= DECISION_FIELDS for decision in found)
    epochs = [decision["epoch"] for decision in found]
    assert epochs == sorted(set(epochs))


def test_problems(stack: Stack) -> None:
    """What cannot be answered is a problem document that says what is wrong and what is allowed."""
    send(stack, "asked-wrongly", 2)
    one = "/v1/services/asked-wrongly"
    assert problem(stack, "/v1/services/never-heard-of/windows")["status"] == 404
    assert problem(stack, "/v1/services/never-heard-of/release")["status"] == 404
    assert problem(stack, "/v1/nothing")["status"] == 404
    assert "window_ms" in problem(stack, f"{one}/windows?window_ms=7")["detail"]
    assert problem(stack, f"{one}/windows?from_ms=yesterday")["status"] == 400
    assert problem(stack, f"{one}/windows?colour=red")["status"] == 400
    assert problem(stack, f"{one}/release", b"service: asked-wrongly")["status"] == 400
    assert problem(stack, f"{one}/release/commands", b'{"command":"explode","reason":"x"}')["status"] == 400
    assert problem(stack, f"{one}/release/commands", b'{"command":"pause","reason":"x"}')["status"] == 409


def test_health_and_metrics(stack: Stack) -> None:
    """Both processes are alive, the worker ready, and their metrics together cover what operators ask for."""
    send(stack, "measured", 2)
    stack.worker.post("/v1/services/measured/release", stages("measured", ("1%", "10m")).encode())
    for path in ("/healthz", "/readyz"):
        assert stack.worker.get(path)["ok"] is True
    ingest = f"http://127.0.0.1:{stack.ingest.environment['SERINUS_INGEST_HTTP_PORT']}"
    with urllib.request.urlopen(f"{ingest}/healthz", timeout=10) as response:
        assert response.status == 200
    text = ""
    for url in (stack.worker.url, ingest):
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
            text += response.read().decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    wanted = ("events", "dead_letters", "lag", "slice", "verdict", "weight", "decisions", "event_to_route_seconds")
    assert [want for want in wanted if not any(want in name for name in names)] == [], sorted(names)
    assert all(name.startswith("serinus_") for name in names if "python" not in name and "process" not in name)


def lines_of(response: Any) -> Iterator[str]:
    for raw in response:
        yield raw.decode().rstrip("\n")


def test_stream(stack: Stack) -> None:
    """A decision arrives as a server-sent event while the listener waits."""
    service = "streamed"
    send(stack, service, 2)
    with urllib.request.urlopen(f"{stack.worker.url}/v1/stream?service={service}", timeout=15) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        lines = lines_of(response)
        assert next(lines).startswith("retry:")
        stack.worker.post(f"/v1/services/{service}/release", stages(service, ("1%", "10m")).encode())
        assert any(line == "event: decision" for line in lines)
        data = next(lines)
    decision = json.loads(data.removeprefix("data: "))
    assert (decision["service"], decision["action"]) == (service, "start")
