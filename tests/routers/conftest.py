"""A proxy with its backends, a load generator and a driver: for each kind of proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.pipeline import pipeline
from tests.routers.backends import Backends, backends
from tests.routers.load import Load, load
from tests.routers.proxies import PROXIES, Proxy
from tests.routers.rig import Rig


@pytest.fixture
def services() -> Iterator[Backends]:
    with backends("v1", "v2") as running:
        yield running


@pytest.fixture(params=sorted(PROXIES))
def proxy(request: pytest.FixtureRequest, services: Backends, tmp_path: Path) -> Iterator[Proxy]:
    """Not started: nginx needs the file that its driver writes."""
    made = PROXIES[request.param](tmp_path, services.ports)
    yield made
    made.stop()


@pytest.fixture
def users(proxy: Proxy) -> Iterator[Load]:
    with load(proxy.port) as running:
        yield running


@pytest.fixture
def rig(kafka_broker: str, topic_prefix: str, tmp_path: Path, proxy: Proxy, users: Load) -> Iterator[Rig]:
    """On a real Kafka, the driver and the proxy running."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running, Rig(running, proxy, users) as made:
        yield made
