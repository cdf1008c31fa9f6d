"""Whoever writes the documented JSON into the topic is counted: other producers, with keys or without, in any codec."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest
from confluent_kafka import Producer

from tests.conftest import ROOT
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
EVENTS = 300
JARS = ROOT / ".kafka" / "libs" / "*"


def lines(service: str, *, keyed: bool) -> list[str]:
    """``EVENTS`` events, every tenth an error, as a console producer reads them: after ``key TAB``, or bare."""
    now_ms, version = int(time.time() * 1000), "keyed" if keyed else "bare"
    events = [
        {"service": service, "version": version, "ts_ms": now_ms - i, "error": i % 10 == 0, "latency_ms": 5 + i}
        for i in range(EVENTS)
    ]
    return [(f"unit-{i}\t" if keyed else "") + json.dumps(event) for i, event in enumerate(events)]


def java(brokers: str, topic: str, codec: str, *, keyed: bool) -> list[str]:
    """The producer that comes with Apache Kafka."""
    command = ["java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(JARS)]
    command += ["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers, "--topic", topic]
    command += ["--compression-codec", codec]
    return [*command, "--property", "parse.key=true"] if keyed else command


def kcat(brokers: str, topic: str, codec: str, *, keyed: bool) -> list[str]:
    """The command-line producer that most people have at hand."""
    command = ["kcat", "-P", "-b", brokers, "-t", topic, "-z", codec]
    return [*command, "-K", "\t"] if keyed else command


def check(stack: Stack, services: list[str]) -> None:
    """Every service has all its events and errors, keyed and bare, and their mean latency."""

    def all_counted() -> bool:
        return all(stack.worker.counted(service) >= 2 * EVENTS for service in services)

    wait_for(all_counted, 30, what=f"{2 * EVENTS} events of each of {services}", dump=stack.pipeline.logs)
    for service in services:
        rows = {row["version"]: row for row in stack.worker.rows(service)}
        found = {version: (row["n"], row["errors"]) for version, row in rows.items()}
        assert found == {"bare": (EVENTS, EVENTS // 10), "keyed": (EVENTS, EVENTS // 10)}, service
        for row in rows.values():
            assert row["metrics"]["latency_ms"]["mean"] == pytest.approx(5 + (EVENTS - 1) / 2, rel=1e-9)


@pytest.mark.kafka
@pytest.mark.slow
def test_console_producers_are_counted(stack: Stack) -> None:
    """Apache Kafka's own console producer in each codec, and kcat where it is installed, are counted to the unit."""
    topic, brokers = stack.pipeline.topic("inference.events"), stack.pipeline.brokers
    tools = [java, kcat] if shutil.which("kcat") else [java]
    for codec in CODECS:
        started = []
        for tool in tools:
            for keyed in (True, False):
                text = "\n".join(lines(f"{tool.__name__}-{codec}", keyed=keyed)) + "\n"
                command = tool(brokers, topic, codec, keyed=keyed)
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                started.append((process, text))
        for process, text in started:
            _, errors = process.communicate(text, timeout=60)
            assert process.returncode == 0, errors
    check(stack, [f"{tool.__name__}-{codec}" for tool in tools for codec in CODECS])


@pytest.mark.kafka
def test_a_plain_producer_is_counted(stack: Stack) -> None:
    """A producer of librdkafka that knows nothing of the client library is counted in each codec."""
    services = [f"plain-{codec}" for codec in CODECS]
    for service, codec in zip(services, CODECS, strict=True):
        producer = Producer({"bootstrap.servers": stack.pipeline.brokers, "compression.type": codec, "linger.ms": 5})
        for keyed in (True, False):
            for line in lines(service, keyed=keyed):
                key, _, value = line.rpartition("\t")
                producer.produce(stack.pipeline.topic("inference.events"), value.encode(), key=key or None)
        assert producer.flush(20) == 0
    check(stack, services)
