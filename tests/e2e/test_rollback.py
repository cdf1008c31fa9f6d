"""The demo's bad canary under live traffic on a real Kafka is rolled back early, and fast."""

from __future__ import annotations

import time

import pytest

from schemas.decision import Action, Decision
from schemas.units import PPM
from tests.conftest import ROOT
from tests.e2e.audit import decisions, event_to_route_ms
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.traffic import Arm, Traffic

SERVICE = "chat"
PLAN = ROOT / "streams" / "demo" / "plans" / "chat.yaml"
"""The demo's own plan: 5 %, 10 %, 50 %, alpha 0.1 %."""
RATE_PER_S = 1_000
SHARE_MAX_PPM = 100_000
EVENT_TO_ROUTE_MAX_MS = 2_000


def check_share(live: Traffic, decision: Decision) -> None:
    """The traffic has followed the route: its share is the decision's within four standard errors and half a percent.

    The half percent is for the split of 100,000 users, which is itself random.
    """
    wanted = decision.weights_ppm.get("v2", 0) / PPM
    found, requests = live.share_of(decision.epoch)
    assert requests > 0, f"no request followed epoch {decision.epoch}"
    assert abs(found - wanted) <= 4 * (wanted * (1 - wanted) / requests) ** 0.5 + 0.005 * (wanted > 0), decision


@pytest.mark.kafka
@pytest.mark.slow
def test_a_bad_canary_is_rolled_back_at_a_tenth_of_traffic_at_most(stack: Stack) -> None:
    """Errors 1 → 4 % and latency +20 % at 1,000 events/s: rolled back at ≤ 10 %, each route within 2 s of its event."""
    with Traffic(stack.pipeline, SERVICE, rate_per_s=RATE_PER_S, canary=Arm(error_rate=0.04, latency_ms=216)) as live:
        wait_for(lambda: stack.worker.counted(SERVICE) > 0, 20, what="traffic is seen", dump=stack.pipeline.logs)
        started = stack.pipeline.run("release", "start", str(PLAN))
        assert started.returncode == 0, started.stdout + started.stderr

        def rolled_back() -> bool:
            return live.router.state().release_state == "rolled_back"

        took_s = wait_for(rolled_back, 90, what="rolled back", dump=stack.pipeline.logs)
        ended_s = time.monotonic()
        time.sleep(1.0)
        after_s = time.monotonic()

    made = decisions(stack.pipeline, SERVICE)
    shares_ppm = [decision.weights_ppm.get("v2", 0) for decision in made]
    print(f"rolled back after {took_s:.1f} s, shares {shares_ppm} ppm: {made[-1].reason}")
    assert made[-1].action is Action.ROLLBACK, made[-1].reason
    assert made[-1].evidence and max(shares_ppm) <= SHARE_MAX_PPM
    for decision in made:
        check_share(live, decision)
    assert live.share(since_s=ended_s + 0.1, until_s=after_s) == 0.0
    took_ms = event_to_route_ms(stack.pipeline, SERVICE)
    print(f"event to route: {took_ms} ms")
    assert took_ms and max(took_ms) <= EVENT_TO_ROUTE_MAX_MS
