"""The joint gate offline: a simulated release and a replayed one learn their basis and count in it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from schemas.decision import Action, Decision, State
from schemas.evidence import Verdict
from schemas.file_errors import RuleError
from streams.offline.event_files import read_lines
from streams.offline.replay import replay
from streams.offline.simulate import simulate
from tests.streams.offline.test_replay import START_MS, encoded, write
from tests.streams.offline.worlds import PLAN, plan, world

JOINT = plan(PLAN.replace("margin: 20%}", "margin: 20%}\n  - {name: joint, of: [latency_ms, values.tokens_out]}"))
TOGETHER = "  correlation: [{between: [latency_ms, values.tokens_out], rho: 0.7}]\n"
APART = "canary: [{at: 0s, correlation: [{between: [latency_ms, values.tokens_out], rho: -0.2}]}]\n"


def test_a_healthy_release_is_promoted() -> None:
    """The gate learns, compares, and lets a canary pass that is as the baseline; fixed seed."""
    found = simulate(world(TOGETHER, metrics=JOINT), JOINT, seed=3)
    assert [one.action for one in found.decisions] == [Action.START, Action.ADVANCE, Action.PROMOTE]
    assert "joint: latency_ms and values.tokens_out differ no more than by chance" in found.decisions[-1].reason


def test_a_changed_correlation_holds() -> None:
    """No metric by itself has changed: the joint gate alone holds, and nothing is rolled back for it; fixed seed."""
    found = simulate(world(TOGETHER + APART, metrics=JOINT), JOINT, seed=3)
    first = found.decisions[1]
    assert (first.action, first.state, first.verdict) == (Action.HOLD, State.HOLDING, Verdict.FAIL)
    assert {row.metric for row in first.evidence if row.verdict is Verdict.FAIL} == {"joint"}
    assert found.run.state is State.HOLDING and found.run.decided_by is None


@pytest.mark.parametrize("rho", [0.7, -0.6])
def test_a_replay_counts_in_the_basis_that_it_has_learned(tmp_path: Path, rho: float) -> None:
    """Recorded events, the canary's metrics together as the baseline's or against them: only the latter holds."""
    draw = random.Random(4)
    made: list[dict[str, object]] = []
    for number in range(50 * 60):
        version = "v2" if draw.random() < 0.2 else "v1"
        together = rho if version == "v2" else 0.7
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        tokens = math.exp(4.6 + 0.5 * (together * a + math.sqrt(1 - together**2) * b))
        event = {
            "service": "chat",
            "version": version,
            "ts_ms": START_MS + 20 * number,
            "values": {"tokens_out": tokens},
        }
        made.append(event | {"latency_ms": math.exp(5 + 0.5 * a)})
    decisions: list[Decision] = []
    replay(read_lines([write(tmp_path / "e.jsonl", encoded(made))]), JOINT, decisions.append)
    held = [one for one in decisions if one.action is Action.HOLD]
    assert bool(held) == (rho < 0)
    if held:
        assert "the correlation of latency_ms and values.tokens_out" in held[0].reason


def test_a_scenario_without_one_of_the_metrics_is_refused() -> None:
    """What the gate looks at has to be drawn: the message names the metric."""
    with pytest.raises(RuleError, match=r"the plan judges values\.nothing"):
        world(metrics=plan(PLAN + "  - {name: joint, of: [latency_ms, values.nothing]}\n"))
