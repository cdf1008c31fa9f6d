"""Two candidates against one baseline on a real Kafka: the bad one is stopped, and the good one gets everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.decision import Action, State
from tests.e2e.audit import decisions
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.plans import stages
from tests.e2e.traffic import Arm, Traffic

RATE_PER_S = 400
METRICS = "\n  - {name: error_rate, worse: higher, margin: 1%}\n"


@pytest.mark.kafka
@pytest.mark.slow
def test_the_bad_one_is_stopped_and_the_good_one_promoted(stack: Stack, tmp_path: Path) -> None:
    """A fifth of what v3 answers fails: it is gone after its decision, and v2 goes on to 100 %."""
    service = "two-candidates"
    plan = stages(service, ("10%", "5s"), ("30%", "5s"), metrics=METRICS).replace("[v2]", "[v2, v3]")
    live = Traffic(stack.pipeline, service, rate_per_s=RATE_PER_S, canary=Arm())
    live.arms["v3"] = Arm(error_rate=0.2)
    with live:
        wait_for(lambda: stack.worker.counted(service) > 0, 20, what="traffic is seen", dump=stack.pipeline.logs)
        path = tmp_path / "plan.yaml"
        path.write_text(plan, encoding="utf-8")
        done = stack.pipeline.run("release", "start", str(path))
        assert done.returncode == 0, done.stdout + done.stderr

        def over() -> bool:
            return decisions(stack.pipeline, service)[-1].state.final

        wait_for(over, 120, what="the release is over", dump=stack.pipeline.logs)

    made = decisions(stack.pipeline, service)
    stop = next(decision for decision in made if decision.action is Action.STOP)
    assert (stop.state, stop.stopped, stop.weights_ppm) == (State.RAMPING, ("v3",), {"v1": 900_000, "v2": 100_000})
    assert stop.reason.startswith("Stopped v3 from 10 %, v2 goes on: error_rate ")
    assert (made[-1].state, made[-1].weights_ppm) == (State.PROMOTED, {"v2": 1_000_000})
    before = {one.version for one in live.served if one.epoch is not None and one.epoch < stop.epoch}
    after = {one.version for one in live.served if one.epoch is not None and one.epoch >= stop.epoch}
    assert before == {"v1", "v2", "v3"}
    assert after == {"v1", "v2"}
    share, requests = live.share_of(stop.epoch)
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / requests) ** 0.5 + 0.005
    print(f"v2 had {share:.2%} of {requests} requests while v3 was gone: {stop.reason}")
