"""A share ends with its lease, whoever dies: the worker, the driver, the proxy."""

from __future__ import annotations

import signal
import time

import pytest

from streams.routers.haproxy import SAME_END_MS
from tests.e2e.pipeline import wait_for
from tests.routers.rig import Rig

LEASE_MS = 4_000
USERS = [f"user-{number}" for number in range(200)]


def on_canary(rig: Rig) -> int:
    """How many of the users the canary answers."""
    return sum(answer.answered == "v2" for answer in rig.users.ask(USERS))


@pytest.mark.kafka
@pytest.mark.slow
def test_a_lease_that_nobody_renews_ends(rig: Rig) -> None:
    """Renewed, a route outlives its lease; then nobody does, and no request fails on the way back."""
    began_s = rig.control.publish(500_000, lease_ms=LEASE_MS)
    rig.until(1)
    with rig.users.steady(per_s=50) as steady:
        while time.monotonic() < began_s + 1.5 * LEASE_MS / 1000:
            renewed_s = rig.control.publish(500_000, lease_ms=LEASE_MS, renew=True)
            time.sleep(0.5)
            assert on_canary(rig) > 0
        rig.until(None)
        assert time.monotonic() - renewed_s >= (LEASE_MS - SAME_END_MS) / 1000, "not before the lease ends"
    assert not steady.failures
    assert on_canary(rig) == 0
    rig.publish(500_000)
    assert on_canary(rig) > 0


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_share_does_not_outlive_its_driver(rig: Rig, number: signal.Signals) -> None:
    """HAProxy keeps it until the lease ends; nginx loses it with the driver, with the lease if that stands still."""
    lease_ms = 8_000 if rig.proxy.kind == "haproxy" or number is signal.SIGSTOP else 60_000
    began_s = rig.control.publish(500_000, lease_ms=lease_ms)
    rig.until(1)
    rig.driver.popen.send_signal(number)
    rig.until(None)
    passed_s = time.monotonic() - began_s
    assert on_canary(rig) == 0
    if lease_ms == 8_000:
        assert passed_s >= 7.0, "routers go on with the last route until its lease ends"
    if number is signal.SIGSTOP:
        rig.driver.popen.send_signal(signal.SIGCONT)
    else:
        wait_for(lambda: rig.driver.popen.poll() is not None, 20, what="the driver has ended")
        rig.driver.restart()
    rig.publish(400_000)
    assert on_canary(rig) > 0, "the next driver, or the one that woke up, goes on"


@pytest.mark.kafka
def test_a_proxy_that_starts_anew_has_the_route(rig: Rig) -> None:
    """Killed and reloaded: what it reads at its start, or is told at once, is what is in force."""
    rig.publish(500_000)
    rig.proxy.kill()
    rig.control.publish(400_000)
    rig.proxy.start()
    rig.until(2)
    assert 0 < on_canary(rig) < len(USERS)
    rig.proxy.reload()
    rig.until(2)
    rig.publish(0)
    assert on_canary(rig) == 0
