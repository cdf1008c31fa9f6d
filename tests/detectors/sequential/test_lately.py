"""Stretches of the newest blocks hold what they say, and name harm that came late in its own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.batches import MeanBatch, RateBatch
from detectors.rows import placed
from detectors.sequential.effect import Effect, EffectState
from detectors.sequential.lately import SPANS, Lately, start_lately, with_blocks
from detectors.summaries.rate import Rate


def test_each_stretch_is_the_sum_of_the_newest_blocks_and_one_of_each_span_is_half_full() -> None:
    """Against sums over the last k moments, taken anew each time."""
    rng = np.random.default_rng(1)
    blocks = rng.integers(1, 50, size=(200, 2, 7)).astype(float)
    lately, rows = start_lately(7), np.array([1, 2])
    for moment, added in enumerate(blocks):
        lately = with_blocks(lately, placed(rows), placed(rows).with_sums(added), rows=3)
        for at, span in enumerate(SPANS):
            lengths = []
            for stretch in (2 * at, 2 * at + 1):
                first = 0 if stretch % 2 == 0 else span // 2
                length = (moment - first) % span + 1 if moment >= first else moment + 1
                lengths.append(length)
                expected = blocks[moment + 1 - length : moment + 1].sum(axis=0)
                np.testing.assert_array_equal(lately.sums[1:, stretch], expected)
                np.testing.assert_array_equal(lately.sums[0, stretch], expected.sum(axis=0))
            assert max(lengths) >= min(span // 2, moment + 1)


def told(errors_of_canary: list[int]) -> tuple[EffectState, Effect]:
    """Blocks of 50 requests of each arm, one error of the baseline in every second block."""
    effect = Effect()
    state = effect.start()
    for moment, errors in enumerate(errors_of_canary):
        batch = RateBatch.of([(1, Rate(50, moment % 2), Rate(50, errors))])
        state = effect.observe(state, MeanBatch.of_rates(batch))
    return state, effect


def test_harm_that_came_late_is_told_in_its_own_numbers() -> None:
    """After 800 healthy blocks the rates since the start are nearly equal; those of the last stretch are not."""
    state, effect = told([moment % 2 for moment in range(800)] + [3] * 15)
    whole = effect.estimate(state, 0)
    assert whole.lately is not None
    assert whole.canary == pytest.approx(0.011, abs=0.001)
    assert whole.lately.canary == pytest.approx(0.06)
    assert whole.lately.baseline == pytest.approx(0.01, abs=0.003)
    assert 8 * 50 <= whole.lately.n_canary <= 15 * 50


@pytest.mark.parametrize("errors", [[3] * 200, [moment % 2 for moment in range(200)], []])
def test_harm_from_the_start_and_no_harm_are_told_since_the_start(errors: list[int]) -> None:
    """Nothing is picked where the whole tells as much, where there is nothing, and in a row never seen."""
    state, effect = told(errors)
    assert effect.estimate(state, 0).lately is None
    assert effect.estimate(state, 5).lately is None


def test_a_later_segment_begins_with_nothing() -> None:
    """New rows do not inherit the stretches of others."""
    first, second = placed(np.array([1])), placed(np.array([2]))
    lately = with_blocks(start_lately(7), first, first.with_sums(np.ones((1, 7))), rows=2)
    later = with_blocks(lately, second, second.with_sums(np.full((1, 7), 2.0)), rows=3)
    assert isinstance(later, Lately)
    assert later.moments == 2
    assert later.sums[1, 0].tolist() == [1.0] * 7
    assert later.sums[2, 0].tolist() == [2.0] * 7
    assert later.sums[0, 0].tolist() == [3.0] * 7
