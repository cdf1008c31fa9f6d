"""Judging stays as fast as it is: by what it executes, and against a fixed workload on the same machine at a time."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from bench.judgement import BEAT_MS, beats_of, evaluation_ms, numpy_ms, plan_of
from releases.judge import observe, start_judge
from releases.ruling import rule

RATIO_MAX = 5.0
"""An evaluation of five gates by ten segments takes less than 2 times as long as a thousand small numpy calls."""

OPERATIONS_MAX = 5_350
"""Calls and operators of one such evaluation: 4,947 with Python 3.11. They were 6,776 while gates shared less."""

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


def test_an_evaluation_executes_no_more_operations_than_it_does() -> None:
    """What is computed twice for one beat, or checked again, would show here, on any machine."""
    plan, beats = plan_of(5), beats_of(10, 24)
    state = start_judge(plan)
    for index, beat in enumerate(beats[:16], 1):
        state = observe(plan, state, beat, beat_end_ms=BEAT_MS * index)

    def evaluate() -> None:
        after = state
        for index, beat in enumerate(beats[16:20], 17):
            after = observe(plan, after, beat, beat_end_ms=BEAT_MS * index)
            rule(plan, after, running=("v2",), for_share_ppm=500_000)

    assert operations(evaluate) / 4 <= OPERATIONS_MAX


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
