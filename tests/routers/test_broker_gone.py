"""The broker dies for good: the last route stays until its lease ends, then the baseline; no request fails."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import pipeline
from tests.routers.backends import backends
from tests.routers.load import load
from tests.routers.proxies import PROXIES
from tests.routers.rig import Rig

LEASE_S = 25.0
USERS = [f"user-{number}" for number in range(100)]


@pytest.mark.kafka
@pytest.mark.slow
def test_routers_outlive_the_broker(tmp_path: Path) -> None:
    """HAProxy and nginx beside each other, under load all the time."""
    with ExitStack() as stack:
        services = stack.enter_context(backends("v1", "v2"))
        rigs: list[Rig] = []
        with own_kafka(tmp_path / "kafka") as brokers:
            running = stack.enter_context(pipeline(brokers, "", tmp_path))
            for kind, make in PROXIES.items():
                (tmp_path / kind).mkdir()
                proxy = make(tmp_path / kind, services.ports)
                stack.callback(proxy.stop)
                rigs.append(stack.enter_context(Rig(running, proxy, stack.enter_context(load(proxy.port)))))
            steady = [stack.enter_context(rig.users.steady(per_s=40)) for rig in rigs]
            began_s = rigs[0].control.publish(500_000, lease_ms=int(LEASE_S * 1000))
            for rig in rigs:
                rig.until(1)
        gone_s = time.monotonic()
        assert gone_s < began_s + LEASE_S - 1, "the broker took too long to stop for this test"
        for rig in rigs:
            assert {answer.answered for answer in rig.users.ask(USERS)} == {"v1", "v2"}
        for rig in rigs:
            rig.until(None, LEASE_S + 10)
            assert time.monotonic() - began_s >= LEASE_S - 1
            assert {answer.answered for answer in rig.users.ask(USERS)} == {"v1"}
        for tally in steady:
            assert tally.requests > 40
            assert not tally.failures
