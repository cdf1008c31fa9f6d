"""Hooks of a real release: the worker decides and goes on, while one target works and another one hangs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from schemas.decision import Action
from tests.conftest import free_port
from tests.e2e.audit import decisions
from tests.e2e.conftest import Stack
from tests.e2e.pipeline import wait_for
from tests.streams.hooks.receiver import receiver

EVERYTHING = "[start, advance, hold, rollback, promote, pause, resume, abort, set_weight, confirm]"


@pytest.mark.kafka
@pytest.mark.slow
def test_a_release_tells_whom_its_plan_names(stack: Stack, tmp_path: Path) -> None:
    """Started, held for silence, weight set, rolled back; a second one promoted: each decision once, in order."""
    running, service = stack.pipeline, "hooked"
    with receiver() as target:
        target.hangs = {"/dead"}
        plan = tmp_path / "plan.yaml"
        plan.write_text(
            f"service: {service}\nbaseline: v1\ncanaries: [v2]\n"
            "ramp: {kind: stages, steps: [{weight: 5%, hold: 10m}, {weight: 50%, hold: 10m}]}\n"
            "metrics: [{name: error_rate, margin: 1%}]\n"
            "limits: {no_data: {after: 2s, action: hold}}\n"
            "hooks:\n"
            f"  - {{when: {EVERYTHING}, webhook: '{target.url}/live'}}\n"
            f"  - {{when: {EVERYTHING}, webhook: '{target.url}/dead'}}\n"
            "  - {when: [rollback], webhook: chat, format: slack}\n"
        )
        hooks = running.start(
            "hooks",
            SERINUS_HOOKS_HTTP_PORT=str(free_port()),
            SERINUS_HOOKS_ALLOW=target.url,
            SERINUS_HOOKS_WEBHOOKS=json.dumps({"chat": f"{target.url}/chat"}),
        )
        wait_for(lambda: "partitions taken" in hooks.text(), 60, what="hooks joined", dump=hooks.text)

        def order(*words: str) -> None:
            done = running.run("release", *words)
            assert done.returncode == 0, done.stdout + done.stderr

        began_s = time.monotonic()
        order("start", str(plan))
        wait_for(lambda: decisions(running, service)[-1].action is Action.HOLD, 60, what="held", dump=running.logs)
        order("set-weight", service, "v2", "1%", "--reason", "less")
        order("rollback", service, "--reason", "enough <!channel>")
        order("start", str(plan))
        order("promote", service, "--skip-evidence", "--reason", "it is fine")
        took_s = time.monotonic() - began_s
        made = decisions(running, service)
        told = target.wait("/live", len(made), dump=hooks.text)
        chat = target.wait("/chat", 1, dump=hooks.text)
        assert hooks.stop() == 0

    actions = [decision.action for decision in made]
    assert [action for action in actions if action is not Action.HOLD] == [
        Action.START, Action.SET_WEIGHT, Action.ROLLBACK, Action.START, Action.PROMOTE,
    ]  # fmt: skip
    assert Action.HOLD in actions
    bodies = [json.loads(one.body) for one in told]
    assert [(body["epoch"], body["action"]) for body in bodies] == [(one.epoch, one.action.value) for one in made]
    assert len({one.key for one in told}) == len(made)
    assert len(target.told["/dead"]) >= 1
    assert "enough &lt;!channel&gt;" in json.loads(chat[0].body)["text"]
    print(f"{len(made)} decisions in {took_s:.1f} s while a target hung")
