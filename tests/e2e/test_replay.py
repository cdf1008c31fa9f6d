"""Replay = live: what was recorded from a real Kafka is decided again as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.decision import encode_record
from tests.e2e.audit import decisions
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.e2e.plans import stages
from tests.e2e.traffic import Arm, Traffic

GOOD, BAD = "replayed-good", "replayed-bad"


@pytest.mark.kafka
@pytest.mark.slow
def test_recorded_from_a_real_kafka_it_is_decided_again(stack: Stack, tmp_path: Path) -> None:
    """Inputs repeat every decision to the last digit, events the sequence of actions, states and verdicts."""
    plans = {}
    for service in (GOOD, BAD):
        plans[service] = tmp_path / f"{service}.yaml"
        plans[service].write_text(stages(service, ("10%", "3s"), ("50%", "4s"), alpha=0.001))
    bad = Arm(error_rate=0.3)
    with (
        Traffic(stack.pipeline, GOOD, rate_per_s=300, canary=Arm()) as good_live,
        Traffic(stack.pipeline, BAD, rate_per_s=300, canary=bad) as bad_live,
    ):
        for service in (GOOD, BAD):
            started = stack.pipeline.run("release", "start", str(plans[service]))
            assert started.returncode == 0, started.stdout + started.stderr
        ended = {"promoted", "rolled_back"}
        routers = (good_live.router, bad_live.router)
        wait_for(
            lambda: all(router.state().release_state in ended for router in routers),
            90,
            what="decided",
            dump=stack.pipeline.logs,
        )
    recordings = {}
    for what in ("events", "inputs"):
        done = stack.pipeline.run("record", what, timeout_s=120)
        assert done.returncode == 0, done.stderr
        recordings[what] = tmp_path / f"{what}.jsonl"
        recordings[what].write_text(done.stdout)
    for service in (GOOD, BAD):
        live_made = decisions(stack.pipeline, service)
        assert live_made[-1].state.final
        exact = _replayed(stack, recordings["inputs"], plans[service])
        assert exact == [json.loads(encode_record(decision)) for decision in live_made]
        again = _replayed(stack, recordings["events"], plans[service])
        told = [(one["action"], one["state"], one["verdict"]) for one in again]
        assert told == [(one.action.value, one.state.value, one.verdict.value) for one in live_made]


def _replayed(stack: Stack, recording: Path, plan: Path) -> list[dict[str, object]]:
    done = stack.pipeline.run("replay", str(recording), "--plan", str(plan), "--json", timeout_s=120)
    *made, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == (0 if summary["state"] == "promoted" else 1), done.stderr
    return made
