"""Judging stays as fast as it is: against a fixed workload on the same machine at the same moment."""

from __future__ import annotations

import numpy as np

from bench.judgement import evaluation_ms, numpy_ms

RATIO_MAX = 6.0
"""An evaluation of five gates by ten segments takes some 2 times as long as a thousand small numpy calls."""


def test_an_evaluation_costs_no_more_than_a_few_thousand_numpy_calls() -> None:
    """Rows and sentences at every beat, or a detector that is fed anew, would show here: the least of three tries."""
    ratios = [evaluation_ms(5, 10, rounds=20)["evaluation_ms"] / numpy_ms() for _ in range(3)]
    assert np.min(ratios) < RATIO_MAX
