"""`serinus up` as a real tree of processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.embedded import embedded_broker
from streams.environment import environment_of
from streams.settings import Settings


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(log: Path, *words: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", *words],
            env=environment_of(settings, os.environ),
            stderr=errors,
            stdout=subprocess.DEVNULL,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(log: Path, text: str, process: subprocess.Popen[bytes], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_kafka_down_is_said_and_ctrl_c_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """With Kafka down `up` says so and goes on trying; a signal ends it within 5 s with 0."""
    log = tmp_path / "log"
    settings = Settings(brokers=f"127.0.0.1:{free_port()}", log_format="console")
    with running(log, "up", settings=settings) as process:
        said(log, f"Kafka at {settings.brokers} is not reachable yet", process)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(5) == 0
        assert time.monotonic() - began < 5
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("part", ["ingest", "worker"])
def test_a_part_ends_by_ctrl_c_while_kafka_is_down(tmp_path: Path, part: str) -> None:
    """Each part alone waits for Kafka too, and ends within 5 s with 0 when told to."""
    log = tmp_path / "log"
    settings = Settings(brokers=f"127.0.0.1:{free_port()}", log_format="console")
    with running(log, part, settings=settings) as process:
        said(log, f"Kafka at {settings.brokers} is not reachable yet", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("embedded", [True, False])
def test_the_whole_tree_starts_and_ends(tmp_path: Path, embedded: bool) -> None:
    """On a broker of its own or another `up` starts all parts, hooks where allowed; Ctrl-C ends them within 5 s."""
    log = tmp_path / "log"
    with embedded_broker(Settings()) as broker:
        settings = Settings(
            brokers=broker.brokers,
            embedded=True,
            log_format="console",
            http_port=free_port(),
            ingest_http_port=free_port(),
            hooks_http_port=free_port(),
            hooks_commands={"page": ["true"]} if embedded else {},
        )
        with running(log, "up", *(["--embedded"] if embedded else []), settings=settings) as process:
            said(log, f"{settings.advertised_url}", process)
            said(log, "source partitions assigned", process)
            said(log, "caught up", process)
            if embedded:
                said(log, "partitions taken", process)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(6) == 0, log.read_text()
            assert time.monotonic() - began < 5
    assert "Traceback" not in log.read_text()
    assert "worker stopped" in log.read_text() and "ingest stopped" in log.read_text()
    assert ("hooks stopped" in log.read_text()) == embedded
