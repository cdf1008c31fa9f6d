"""What the tests share: one real Kafka for all tests that need one, and topics of their own for each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
LOCAL_KAFKA = ROOT / "deploy" / "kafka" / "local.py"

# How long an example takes says more about the machine than about the code.
settings.register_profile("serinus", settings(deadline=None))
settings.load_profile("serinus")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real Apache Kafka, started for this run and stopped after it.

    ``SERINUS_TEST_BROKERS`` names a running one to use instead. Nothing is skipped: without Java the run fails and says
    what to install.
    """
    given = os.environ.get("SERINUS_TEST_BROKERS")
    if given:
        yield given
        return
    data = tmp_path_factory.mktemp("kafka")
    where = ["--data", str(data)]
    command = [sys.executable, str(LOCAL_KAFKA), "start", "--detach", "--port", "0", *where]
    started = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert started.returncode == 0, f"no Kafka: {started.stdout}\n{started.stderr}"
    bootstrap = started.stdout.strip().splitlines()[-1].removeprefix("bootstrap.servers=")
    try:
        yield bootstrap
    finally:
        subprocess.run([sys.executable, str(LOCAL_KAFKA), "stop", *where, "--remove"], timeout=60, check=True)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that gives each test topics of its own on the shared broker."""
    return f"t{uuid.uuid4().hex[:10]}."
