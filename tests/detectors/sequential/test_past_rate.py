"""The baseline's past rate is what its past of zeros and ones would be, for less."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.sequential.past import Past, learn, start_past
from detectors.sequential.past_rate import PastRate, learn_rates, rate_of, start_rate
from detectors.state_codec import decode_state, encode_state

counts = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
moments = st.lists(st.lists(counts, min_size=3, max_size=3), min_size=1, max_size=8)


@given(moments, st.booleans())
def test_it_is_the_past_of_zeros_and_ones(seen: list[list[tuple[int, int]]], several: bool) -> None:
    """Count and mean are those of a past that is taught the same values, also where a row joins late or in groups."""
    rows, stride = (np.array([1, 2, 5]), 4) if several else (np.array([1, 2, 3]), None)
    past, rate = start_past(), start_rate()
    for index, moment in enumerate(seen):
        some = slice(0, 2) if index % 2 else slice(0, 3)
        n, k = (np.array(column, dtype=np.float64)[some] for column in zip(*moment, strict=True))
        past = learn(past, rows[some], n=n, mean=k / np.maximum(n, 1.0), m2=np.zeros(n.size), stride=stride)
        rate = learn_rates(rate, rows[some], n=n, k=k, stride=stride)
    np.testing.assert_allclose(rate.n, past.n, rtol=1e-12)
    np.testing.assert_allclose(rate.mean, past.mean, rtol=1e-9, atol=1e-15)


def test_an_unknown_rate_is_the_prior() -> None:
    """A row that was never seen has the prior's rate; 100 requests without an error halve it."""
    past = learn_rates(start_rate(), np.array([1]), n=np.array([100.0]), k=np.array([0.0]))
    np.testing.assert_allclose(rate_of(past, np.array([1, 2]), 0.01), [0.005, 0.01])


def test_one_with_squares_in_it_is_read() -> None:
    """Releases that began when the past of a rate still had squares go on."""
    stored = encode_state(Past(np.ones(2), np.full(2, 0.25), np.full(2, 9.0)))
    found = decode_state(stored, PastRate)
    assert (found.n.tolist(), found.mean.tolist()) == ([1.0, 1.0], [0.25, 0.25])
