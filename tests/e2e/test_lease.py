"""A canary never runs unobserved: when every worker is dead, its lease runs out and the routers return."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from schemas.route import LEASE_MS
from serinus import Router
from tests.e2e.audit import routes
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.plans import stages
from tests.e2e.traffic import Arm, Traffic

SERVICE = "leased"
KILL_AT_MS = 21_500
"""Of the lease is left when the workers die: just before a renewal, so that the wait is short."""


def canary_unit(router: Router) -> str:
    """A user whom the route in force sends to the canary."""
    return next(unit for unit in (f"user-{i}" for i in range(10_000)) if router.choose(unit) == "v2")


def start_at_5_percent(worker: Worker, routers: list[Router], running: Pipeline) -> None:
    """Start the release and wait until every router splits at 5 %."""
    wait_for(lambda: worker.counted(SERVICE) > 0, 20, what="traffic is seen", dump=running.logs)
    worker.post(f"/v1/services/{SERVICE}/release", stages(SERVICE, ("5%", "10m")).encode())

    def split() -> bool:
        return all(r.state().weights_ppm.get("v2") == 50_000 and not r.state().on_fallback for r in routers)

    wait_for(split, 10, what="5 % at every router", dump=running.logs)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_routers_return_when_every_worker_is_dead(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """Real routers keep 5 % until the last route's lease ends, then all is the baseline's; a new worker goes on."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        running.ingest()
        workers = [running.worker(), running.worker()]
        wait_for(lambda: all(worker.ready() for worker in workers), 40, what="both ready", dump=running.logs)
        with Traffic(running, SERVICE, rate_per_s=100, canary=Arm()) as live:
            idle = Router(service=SERVICE, fallback="v1", brokers=kafka_broker, topic_prefix=topic_prefix)
            routers = [live.router, idle]
            start_at_5_percent(workers[0], routers, running)
            unit = canary_unit(idle)
            wait_for(lambda: idle.state().lease_remaining_ms < KILL_AT_MS, 20, what="shortly before a renewal")
            for worker in workers:
                worker.process.kill()
            died_s, left_ms = time.monotonic(), idle.state().lease_remaining_ms
            issued_ms = routes(running, SERVICE)[-1].route.issued_at_ms

            fell_s = _until_fallback(routers, unit)
            back_s = fell_s - died_s
            print(f"workers died with {left_ms} ms of the lease left; the baseline after {back_s:.2f} s")
            assert time.time() * 1000 - issued_ms <= LEASE_MS + 2_000
            assert left_ms / 1000 - 1.0 <= back_s <= left_ms / 1000 + 1.5

            time.sleep(1.0)
            assert live.share(since_s=fell_s + 0.1, until_s=time.monotonic()) == 0.0
            assert live.share(since_s=died_s, until_s=fell_s) > 0, "the routers left before the lease ran out"
            _goes_on_or_holds(running, live)
            idle.close()


def _until_fallback(routers: list[Router], unit: str) -> float:
    """When the last router sent the canary's user to the baseline, by the monotonic clock."""
    wait_for(lambda: all(r.choose(unit) == "v1" for r in routers), LEASE_MS / 1000 + 5, what="the baseline again")
    return time.monotonic()


def _goes_on_or_holds(running: Pipeline, live: Traffic) -> None:
    """A new worker knows the release: its routes are followed again, at 5 % or, held, at no more."""
    worker = running.worker()
    worker.wait_ready()
    wait_for(lambda: not live.router.state().on_fallback, 30, what="a route is in force again", dump=running.logs)
    found = worker.get(f"/v1/services/{SERVICE}/release")
    assert found["state"] in {"ramping", "holding"}, found
    assert live.router.state().weights_ppm == found["weights_ppm"] == {"v1": 950_000, "v2": 50_000}
