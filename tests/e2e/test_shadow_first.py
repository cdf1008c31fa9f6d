"""Copies, then a yes, then a share: on a real Kafka with real clients, and nobody meets the canary before its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.decision import Action, State
from schemas.evidence import Verdict
from tests.e2e.audit import decisions
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.plans import stages
from tests.e2e.traffic import Arm, Traffic

RATE_PER_S = 400
METRICS = "\n  - {name: error_rate, worse: higher, margin: 1%}\n"


def started(stack: Stack, live: Traffic, service: str, path: Path, text: str) -> None:
    wait_for(lambda: stack.worker.counted(service) > 0, 20, what="traffic is seen", dump=stack.pipeline.logs)
    path.write_text(text, encoding="utf-8")
    done = stack.pipeline.run("release", "start", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: live.copies > 0, 20, what="requests are copied", dump=stack.pipeline.logs)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_good_canary_comes_by_copies_and_a_yes(stack: Stack, tmp_path: Path) -> None:
    """Copies of half of the requests, PASS, a hold for somebody's yes, and 5 % only after it."""
    service = "shadowed"
    plan = stages(service, ("5%", "5s"), ("20%", "5m"), metrics=METRICS)
    plan = plan.replace("kind:", "shadow: {weight: 50%, hold: 5s}, confirm: [5%], kind:", 1)
    with Traffic(stack.pipeline, service, rate_per_s=RATE_PER_S, canary=Arm()) as live:
        started(stack, live, service, tmp_path / "plan.yaml", plan)

        def asked() -> bool:
            return decisions(stack.pipeline, service)[-1].awaits_ppm == 50_000

        wait_for(asked, 60, what="a yes is asked for", dump=stack.pipeline.logs)
        assert {one.version for one in live.served} == {"v1"}
        epoch = str(decisions(stack.pipeline, service)[-1].epoch)
        said = stack.pipeline.run("release", "confirm", service, "--reason", "looked", "--expected-epoch", epoch)
        assert said.returncode == 0, said.stdout + said.stderr
        wait_for(lambda: live.served[-1].version == "v2", 60, what="somebody meets v2", dump=stack.pipeline.logs)
        copies = live.copies
        wait_for(lambda: len(live.served) > 20_000, 90, what="more requests", dump=stack.pipeline.logs)

    made = decisions(stack.pipeline, service)
    assert [decision.action for decision in made][:4] == [Action.START, Action.HOLD, Action.CONFIRM, Action.ADVANCE]
    assert live.copies - copies < RATE_PER_S, "copies end when the share begins"
    assert Verdict.ERROR not in {decision.verdict for decision in made}, "copies are no broken split"
    share, requests = live.share_of(made[3].epoch)
    assert abs(share - 0.05) < 4 * (0.05 * 0.95 / requests) ** 0.5 + 0.005
    print(f"{live.copies} copies, {share:.2%} of {requests} requests at 5 %: {made[3].reason}")


@pytest.mark.kafka
@pytest.mark.slow
def test_a_bad_canary_is_gone_before_anybody_meets_it(stack: Stack, tmp_path: Path) -> None:
    """A tenth of the copies fails: rolled back, and not one request was answered by it."""
    service = "shadowed-bad"
    plan = stages(service, ("5%", "5s"), metrics=METRICS)
    plan = plan.replace("kind:", "shadow: {weight: 50%, hold: 10m}, kind:", 1)
    with Traffic(stack.pipeline, service, rate_per_s=RATE_PER_S, canary=Arm(error_rate=0.1)) as live:
        started(stack, live, service, tmp_path / "plan.yaml", plan)

        def ended() -> bool:
            return decisions(stack.pipeline, service)[-1].state is State.ROLLED_BACK

        wait_for(ended, 60, what="rolled back", dump=stack.pipeline.logs)

    last = decisions(stack.pipeline, service)[-1]
    assert last.verdict is Verdict.FAIL and "Rolled back v2 with copies of 50 % of the requests" in last.reason
    assert {one.version for one in live.served} == {"v1"}
    print(f"{live.copies} copies, no user: {last.reason}")
