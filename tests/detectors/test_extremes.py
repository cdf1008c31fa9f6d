"""No finite input makes a gate raise, warn or say something that is not a number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.effect import Effect
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate

rates = st.tuples(st.sampled_from([0, 1, 19, 500, 10**9]), st.sampled_from([0.0, 0.01, 0.5, 1.0])).map(
    lambda t: Rate(t[0], round(t[0] * t[1]))
)
magnitudes = st.sampled_from([0.0, 1e-90, 1e-9, 1.0, 1e9, 1e90])
moments = st.builds(
    lambda n, size, sign, cv: Moments(n, sign * size, (n - 1) * (cv * size) ** 2 if n > 1 else 0.0),
    st.sampled_from([0, 1, 2, 19, 10**9]),
    magnitudes,
    st.sampled_from([-1.0, 1.0]),
    st.sampled_from([0.0, 1e-12, 0.5, 100.0]),
)


@given(st.lists(st.tuples(st.integers(1, 3), rates, rates), max_size=8))
def test_rates_of_any_kind_give_numbers(blocks: list[tuple[int, Rate, Rate]]) -> None:
    """All or none bad, one request or a billion, tolerances and margins near both ends."""
    gates = [Evalue2x2(), Evalue2x2(tolerance=0.00125), Evalue2x2(tolerance=0.9, prior_rate=0.99)]
    bounds = [Margin2x2(margins=(1e-6, 0.01, 0.99)), Margin2x2(margins=(0.5,), prior_rate=0.999)]
    states, held, effect = [g.start() for g in gates], [b.start() for b in bounds], Effect().start()
    for block in blocks:
        batch = RateBatch.of([block])
        states = [gate.observe(state, batch) for gate, state in zip(gates, states, strict=True)]
        held = [bound.observe(state, batch) for bound, state in zip(bounds, held, strict=True)]
        effect = Effect().observe(effect, MeanBatch.of_rates(batch))
    for gate, state in zip(gates, states, strict=True):
        assert np.isfinite(gate.harm(state)).all()
        assert np.isfinite(gate.evidence(state))
    for bound, kept in zip(bounds, held, strict=True):
        assert np.isfinite(bound.excluded(kept)).all()
    low = Effect().estimate(effect, 0).low
    assert low is None or np.isfinite(low)


def test_a_total_whose_segments_cancel_is_a_number() -> None:
    """Means of -5 and +5: the total's is zero, and nothing is relative to it."""
    bound = MeanBound(margins=(0.05,))
    state = bound.start()
    for _ in range(30):
        blocks = [(row, Moments(50, mean, 50.0), Moments(50, mean, 50.0)) for row, mean in ((1, -5.0), (2, 5.0))]
        state = bound.observe(state, MeanBatch.of(blocks))
    assert state.past.mean[0] == 0.0
    assert np.isfinite(bound.excluded(state)).all()


@given(st.lists(st.tuples(st.integers(1, 3), moments, moments), max_size=8))
def test_means_of_any_kind_give_numbers(blocks: list[tuple[int, Moments, Moments]]) -> None:
    """From 1e-90 to 1e90, of either sign, constant or wild, one value or a billion."""
    gates = [MeanEvalue(), MeanEvalue(tolerance=0.5, worse="lower")]
    bounds = [MeanBound(margins=(0.01, 50.0)), MeanBound(margins=(0.01, 0.99), worse="lower")]
    effects = [Effect(), Effect(relative=True)]
    states, held, seen = [g.start() for g in gates], [b.start() for b in bounds], [e.start() for e in effects]
    for block in blocks:
        batch = MeanBatch.of([block])
        states = [gate.observe(state, batch) for gate, state in zip(gates, states, strict=True)]
        held = [bound.observe(state, batch) for bound, state in zip(bounds, held, strict=True)]
        seen = [effect.observe(state, batch) for effect, state in zip(effects, seen, strict=True)]
    for gate, state in zip(gates, states, strict=True):
        assert np.isfinite(gate.harm(state)).all()
        assert np.isfinite(gate.evidence(state))
    for bound, kept in zip(bounds, held, strict=True):
        assert np.isfinite(bound.excluded(kept)).all()
    for effect, sums in zip(effects, seen, strict=True):
        low = effect.estimate(sums, 0).low
        assert low is None or np.isfinite(low)
