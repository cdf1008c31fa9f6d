"""The joint gate on a real Kafka: the worker learns a basis, ingest counts in it, a changed correlation holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.basis import decode_basis
from schemas.decision import Action, State
from schemas.evidence import Verdict
from streams.kafka_reader import read_to_end
from streams.topics import BASES
from tests.e2e.audit import decisions, settings_of
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.plans import DEMO_METRICS, stages
from tests.e2e.traffic import Arm, Traffic

SERVICE = "joint"
METRICS = f"{DEMO_METRICS}  - {{name: joint, of: [latency_ms, values.tokens_out]}}\n"


@pytest.mark.kafka
@pytest.mark.slow
def test_a_changed_correlation_holds_the_release(stack: Stack, tmp_path: Path) -> None:
    """Latency and tokens of the canary by themselves are as the baseline's, and no longer go together.

    Alpha is 0.1 %, and so is the chance that another gate ends the release first.
    """
    plan = tmp_path / "joint.yaml"
    plan.write_text(stages(SERVICE, ("20%", "5m"), alpha=0.001, metrics=METRICS))
    baseline, canary = Arm(correlation=0.8), Arm(correlation=-0.5)
    with Traffic(stack.pipeline, SERVICE, rate_per_s=200, canary=canary, baseline=baseline) as live:
        started = stack.pipeline.run("release", "start", str(plan))
        assert started.returncode == 0, started.stdout + started.stderr

        def held() -> bool:
            return live.router.state().release_state == "holding"

        took_s = wait_for(held, 40, what="the release holds", dump=stack.pipeline.logs)
    made = decisions(stack.pipeline, SERVICE)[-1]
    print(f"held after {took_s:.1f} s: {made.reason}")
    assert (made.action, made.state, made.verdict) == (Action.HOLD, State.HOLDING, Verdict.FAIL)
    assert {row.metric for row in made.evidence if row.verdict is Verdict.FAIL} == {"joint"}
    assert "the correlation of latency_ms and values.tokens_out, -0." in made.reason
    assert _bases(stack) == 1
    stopped = stack.pipeline.run("release", "abort", SERVICE, "--reason", "seen enough")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    wait_for(lambda: _bases(stack) == 0, 10, what="the basis is taken back", dump=stack.pipeline.logs)


def _bases(stack: Stack) -> int:
    """Bases of this service in force on the topic."""
    settings = settings_of(stack.pipeline)
    newest: dict[bytes, bytes | None] = {}
    for message in read_to_end(settings, settings.topic(BASES)):
        newest[message.key() or b""] = message.value()
    return sum(decode_basis(value).service == SERVICE for value in newest.values() if value is not None)
