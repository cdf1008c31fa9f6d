"""Feedback with its delay, from the client's records through ingest and the judge to the words of a decision."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from schemas.decision import Decision
from schemas.evidence import Evidence
from schemas.plan import parse_plan
from serinus.event import Emitted, EventEncoder
from serinus.packer import Packer
from streams.offline.event_files import read_lines
from streams.offline.recorded import encode_recorded, recorded
from streams.offline.replay import replay
from tests.streams.offline.worlds import PLAN

START_MS = 1_763_632_800_123
RATED = PLAN + "  - {name: feedback.rating, worse: lower, margin: 5%}\n"
STEP_MS = 100


def emitted(*, seconds: int, delays: bool) -> list[list[Emitted]]:
    """Tenths of a second: five requests, and the feedback on every second request of some seconds ago.

    The canary has half of the requests; its ratings are a point lower, and take four seconds where the baseline's
    take two.
    """
    draw = random.Random(4)
    steps: list[list[Emitted]] = [[] for _ in range(seconds * 1_000 // STEP_MS)]
    for at, step in enumerate(steps):
        for _ in range(5):
            version = draw.choice(("v1", "v2"))
            ts_ms = START_MS + at * STEP_MS
            plain = Emitted(
                version, ts_ms, "request", False, draw.lognormvariate(5, 0.5), None, None, "", None, None, None
            )
            step.append(plain)
            late = (40 if version == "v2" else 20) + draw.randrange(-5, 6)
            if draw.random() < 0.5 and at + late < len(steps):
                rating = {"rating": draw.gauss(3.2 if version == "v2" else 4.2, 0.8)}
                said = plain._replace(ts_ms=ts_ms + late * STEP_MS, kind="feedback", values=rating)
                steps[at + late].append(said._replace(latency_ms=float(late * STEP_MS) if delays else None))
    return steps


def decided(path: Path, steps: list[list[Emitted]], *, packed: bool) -> list[Decision]:
    encoder = EventEncoder("chat")
    packer, lines, offset = Packer("chat", encoder.hash_unit), list[bytes](), 0
    for at, step in enumerate(steps):
        for value in [packer.pack(step)] if packed else [encoder.encode(one)[1] for one in step]:
            ts = START_MS + at * STEP_MS
            lines.append(encode_recorded(recorded("inference.events", partition=0, offset=offset, ts=ts, value=value)))
            offset += 1
    path.write_bytes(b"\n".join(lines))
    decisions: list[Decision] = []
    replay(read_lines([path]), parse_plan(RATED), decisions.append)
    return decisions


def row(decisions: list[Decision]) -> Evidence:
    return next(one for one in decisions[-1].evidence if one.metric == "feedback.rating")


@pytest.mark.parametrize("packed", [False, True])
def test_the_delay_goes_from_the_client_to_the_decision(tmp_path: Path, packed: bool) -> None:
    """In JSON and in packs: the delays that were emitted are in the row and in the reason of the rollback."""
    decisions = decided(tmp_path / "log", emitted(seconds=60, delays=True), packed=packed)
    found = row(decisions)
    assert decisions[-1].state.value == "rolled_back"
    assert found.baseline_delay is not None and found.canary_delay is not None
    assert found.baseline_delay.ms_p50 == pytest.approx(2_000, rel=0.11)
    assert found.canary_delay.ms_p50 == pytest.approx(4_000, rel=0.06)
    assert found.canary_delay.ms_p90 == pytest.approx(4_400, rel=0.06)
    assert found.canary_delay.n == found.n_canary
    assert "after feedback on 40 of 187 requests of v2, half of it within 4.0 s (v1: 2." in decisions[-1].reason
    assert "it comes later, and what is still missing may be unlike what came; at most 1 in " in decisions[-1].reason


def test_feedback_without_a_delay_is_judged_alike(tmp_path: Path) -> None:
    """The same ratings without a delay lead to the same decision at the same moment, and nothing is said of it."""
    without = decided(tmp_path / "without", emitted(seconds=60, delays=False), packed=True)
    with_it = decided(tmp_path / "with", emitted(seconds=60, delays=True), packed=True)
    assert [(one.action, one.at_ms) for one in without] == [(one.action, one.at_ms) for one in with_it]
    assert row(without).canary_delay is None and "half of it" not in without[-1].reason
