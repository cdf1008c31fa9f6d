"""A real broker is started, used and stopped by the command that everybody uses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.kafka


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "kafka" / "local.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def start(data: Path, *more: str) -> str:
    """Starts a broker and returns its bootstrap servers."""
    finished = run("start", "--detach", "--port", "0", "--heap", "512m", "--data", str(data), *more)
    assert finished.returncode == 0, finished.stderr
    name, _, value = finished.stdout.splitlines()[-1].partition("=")
    assert name == "bootstrap.servers"
    return value


def pid(data: Path, node: int = 1) -> int:
    return int((data / f"broker-{node}" / "pid").read_text())


def is_gone(process: int) -> bool:
    # A zombie counts as gone: nobody in a bare container collects orphans.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "kafka"
    run("stop", "--port", "0", "--remove", "--data", str(tmp_path / "kafka"))


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def read_one(bootstrap: str, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return bytes(message.value() or b"")
    finally:
        consumer.close()


def test_starts_carries_a_record_and_stops(data: Path) -> None:
    """A record survives a restart of the broker, a second start changes nothing, and stop leaves no process."""
    bootstrap = start(data)
    first = pid(data)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
    produce(bootstrap, "t", b"kept")

    assert start(data) == bootstrap
    assert pid(data) == first

    taken = run("start", "--detach", "--port", bootstrap.split(":")[1], "--data", f"{data}-other")
    assert taken.returncode == 1
    assert "another Kafka, not started from this folder" in taken.stderr

    assert run("stop", "--data", str(data)).returncode == 0
    assert is_gone(first)

    assert start(data) == bootstrap
    assert read_one(bootstrap, "t") == b"kept"
    second = pid(data)
    assert run("stop", "--remove", "--data", str(data)).returncode == 0
    assert is_gone(second)
    assert not data.exists()


def test_half_formatted_folder_is_formatted_anew(data: Path) -> None:
    """A start that was cut off while formatting does not spoil the next one."""
    (data / "broker-1" / "log").mkdir(parents=True)
    (data / "broker-1" / "log" / "meta.properties").write_text("torn")
    (data / "cluster.json").write_text(
        '{"brokers": 1, "port": 29999, "cluster_id": "AAAAAAAAAAAAAAAAAAAAAA", "formatted": false}'
    )
    start(data)


@pytest.mark.slow
def test_killed_broker_of_three_is_brought_back(data: Path) -> None:
    """Three brokers replicate, a killed one comes back by a second start, and stop ends all of them."""
    bootstrap = start(data, "--brokers", "3")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("t", 1, 3)])["t"].result(30)
    before = {node: pid(data, node) for node in (1, 2, 3)}
    os.kill(before[2], signal.SIGKILL)
    until = time.monotonic() + 10
    while not is_gone(before[2]):
        assert time.monotonic() < until
        time.sleep(0.05)
    produce(bootstrap, "t", b"two are enough")
    assert start(data, "--brokers", "3") == bootstrap
    after = {node: pid(data, node) for node in (1, 2, 3)}
    assert after[2] != before[2]
    assert (after[1], after[3]) == (before[1], before[3])
    assert run("stop", "--data", str(data)).returncode == 0
    assert all(is_gone(process) for process in after.values())
