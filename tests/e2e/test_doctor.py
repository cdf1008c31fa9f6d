"""`serinus doctor` on a real Kafka: a pipeline that runs is well; each kind of broken set-up is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from schemas.decision import State
from schemas.route import Route, encode_route
from streams import topics
from streams.kafka import admin, producer
from streams.settings import Settings
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.tally import as_json

pytestmark = pytest.mark.kafka


def doctor(brokers: str, prefix: str, *, http_port: str = "1") -> tuple[int, list[dict[str, str]]]:
    """The exit code and the findings."""
    settings = {"BROKERS": brokers, "TOPIC_PREFIX": prefix, "HTTP_PORT": http_port}
    run = subprocess.run(
        [sys.executable, "-m", "streams.cli", "doctor", "--json"],
        env=os.environ | {f"SERINUS_{name}": value for name, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stderr, run.stderr
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


def problems(findings: list[dict[str, str]]) -> str:
    found = [one for one in findings if one["level"] == "problem"]
    assert all(one["remedy"] for one in found)
    return "\n".join(one["what"] for one in found)


def test_a_running_pipeline_is_well(stack: Stack) -> None:
    """No problem, no warning, and each examination says what it looked at."""
    running, now_ms = stack.pipeline, int(time.time() * 1000)
    client = Producer({"bootstrap.servers": running.brokers})
    for number in range(200):
        event = as_json(service="doctored", version="v1", ts_ms=now_ms, latency_ms=number)
        client.produce(running.topic("inference.events"), event)
    assert client.flush(20) == 0
    wait_for(lambda: stack.worker.counted("doctored") >= 200, 20, what="events", dump=running.logs)
    code, findings = doctor(running.brokers, running.prefix, http_port=stack.worker.url.rpartition(":")[2])
    assert [one["what"] for one in findings if one["level"] != "fine"] == []
    assert code == 0 and {"brokers", "topics", "rights", "flow", "clocks", "leases", "worker"} == {
        one["about"] for one in findings
    }


def test_a_broker_without_topics(kafka_broker: str, topic_prefix: str) -> None:
    """Each missing topic, and how to make it."""
    code, findings = doctor(kafka_broker, topic_prefix)
    assert code == 1 and problems(findings).count("missing; `serinus topics create` makes it") == len(
        topics.topics(Settings())
    )


def test_topics_that_nobody_works_on_with_a_wrong_one_a_lapsed_lease_and_foreign_records(
    kafka_broker: str, topic_prefix: str
) -> None:
    """All of it at once: one examination does not hide another."""
    settings = Settings(brokers=kafka_broker, topic_prefix=topic_prefix)
    events, control = settings.topic(topics.EVENTS), settings.topic(topics.CONTROL)
    maker = admin(settings)
    maker.create_topics([NewTopic(events, num_partitions=1)])[events].result(10)
    topics.create(settings)
    client = producer(settings, "test")
    route = Route("chat", "r1", 4, State.RAMPING, {"v1": 950_000, "v2": 50_000}, "v1", "s", issued_at_ms=1_000)
    client.produce(control, encode_route(route), key="chat")
    client.produce(control, b"not a route", key="x")
    client.produce(events, b"{}")
    assert client.flush(20) == 0
    code, findings = doctor(kafka_broker, topic_prefix)
    said = problems(findings)
    assert code == 1
    for expected in (
        "message.timestamp.type: found CreateTime; needed is LogAppendTime",
        "no tick in 4 s on partition(s) 0, 1, 2, 3",
        "no report in 4 s of partition(s) 0",
        "its lease has run out and routers serve v1",
        "1 record(s) that are no routes",
    ):
        assert expected in said, said
