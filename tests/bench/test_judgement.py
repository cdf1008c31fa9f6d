"""Judging stays as fast as it is: by what it executes, and against a fixed workload on the same machine at a time."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from bench.judgement import BEAT_MS, beats_of, evaluation_ms, numpy_ms, plan_of
from bench.unit_beats import Beat, unit_beats
from releases.judge import observe, start_judge
from releases.ruling import rule
from schemas.plan import Plan

RATIO_MAX = 5.0
"""An evaluation of five gates by ten segments takes less than 2 times as long as a thousand small numpy calls."""

OPERATIONS_MAX = 5_350
"""Calls and operators of one such evaluation: 4,943 with Python 3.11. They were 6,776 while gates shared less."""

BY_UNIT_OPERATIONS_MAX = 7_300
"""The same where users are counted: 6,840. They were 20,085 while each detector of a gate compared the blocks anew, and
10,881 while each value of a label had detectors of its own."""

AGAIN_MAX = 0.5
"""A ruling on evidence that has been ruled on before, as a part of the first one: 0.43 of its calls and operators."""

COUNTED = ("BINARY", "CALL", "COMPARE", "UNARY")


def operations(work: Callable[[], object]) -> int:
    """Calls and operators that ``work`` executes in Python: as many on every machine, however busy it is."""
    found = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal found
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            found += dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith(COUNTED)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


@pytest.mark.parametrize(
    ("plan", "beats", "most"),
    [
        (plan_of(5), beats_of(10, 20), OPERATIONS_MAX),
        (plan_of(5, "unit"), unit_beats(10, 20), BY_UNIT_OPERATIONS_MAX),
    ],
    ids=["requests", "users"],
)
def test_an_evaluation_executes_no_more_operations_than_it_does(plan: Plan, beats: list[Beat], most: int) -> None:
    """What is computed twice for one beat, or checked again, would show here, on any machine."""
    state = start_judge(plan)
    for index, beat in enumerate(beats[:16], 1):
        state = observe(plan, state, beat, beat_end_ms=BEAT_MS * index)

    def evaluate() -> None:
        after = state
        for index, beat in enumerate(beats[16:20], 17):
            after = observe(plan, after, beat, beat_end_ms=BEAT_MS * index)
            rule(plan, after, running=("v2",), for_share_ppm=500_000)

    assert operations(evaluate) / 4 <= most


def test_a_beat_without_news_is_ruled_on_for_less() -> None:
    """Most beats of a small service close no block; asking every gate again would show here."""
    plan, beats = plan_of(5), beats_of(10, 17)
    state = start_judge(plan)
    for index, beat in enumerate(beats, 1):
        state = observe(plan, state, beat, beat_end_ms=BEAT_MS * index)

    def ruling() -> None:
        rule(plan, state, running=("v2",), for_share_ppm=500_000)

    first = operations(ruling)
    assert operations(ruling) <= AGAIN_MAX * first


def test_an_evaluation_costs_no_more_than_a_few_thousand_numpy_calls() -> None:
    """Rows and sentences at every beat, or a detector that is fed anew, would show here: the least of three tries."""
    ratios = [evaluation_ms(5, 10, rounds=20)["evaluation_ms"] / numpy_ms() for _ in range(3)]
    assert np.min(ratios) < RATIO_MAX
