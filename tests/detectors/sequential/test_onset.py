"""The mixture over start times and the weights of segments keep an e-process one, by enumerating every path."""

from __future__ import annotations

import itertools
from math import exp, log

import numpy as np
import pytest

from detectors.sequential.onset import (
    SLOT_CONSTANT,
    SLOT_MOMENTS,
    Mixture,
    advance,
    log_combined,
    log_evidence,
    start_mixture,
)

ONE = np.array([1])
FAIR = (log(0.5), log(1.5))
"""Two equally likely log e-values with a mean e-value of exactly 1."""


def test_the_mixture_is_a_martingale() -> None:
    """Over all 2^12 paths of a fair e-value the mean of the mixture is 1 after every block: nothing leaks in."""
    paths = np.array(list(itertools.product(FAIR, repeat=12)))
    rows = np.arange(1, paths.shape[0] + 1)
    mixture = start_mixture(1)
    for t in range(12):
        mixture = advance(mixture, rows, paths[:, t : t + 1])
        assert np.exp(log_evidence(mixture)[1:]).mean() == pytest.approx(1.0, rel=1e-12)


def test_the_gate_is_a_martingale_when_segments_appear_late() -> None:
    """Over all paths of three segments that appear one after the other the mean of the gate's e-value stays 1."""
    schedule = [(1,), (1,), (1, 2), (2,), (1, 2, 3), (3,)]
    tosses = sum(len(rows) for rows in schedule)
    means = np.zeros(len(schedule))
    stopped = 0.0
    for path in itertools.product(FAIR, repeat=tosses):
        mixture, at, best = start_mixture(1), 0, None
        for i, rows in enumerate(schedule):
            gains = np.array(path[at : at + len(rows)])[:, None]
            at += len(rows)
            mixture = advance(mixture, np.array(rows), gains)
            value = exp(log_combined(mixture))
            means[i] += value / 2**tosses
            best = value if best is None and value > 1.2 else best
        stopped += (exp(log_combined(mixture)) if best is None else best) / 2**tosses
    np.testing.assert_allclose(means, 1.0, rtol=1e-12)
    assert stopped == pytest.approx(1.0, rel=1e-12)


def test_start_weights_add_up_to_one() -> None:
    """The weights of all slots sum to 1: the first million, and the integral of the rest."""
    slots = np.arange(1, 10**6)
    weights = 1.0 / (SLOT_CONSTANT * (slots + 1) * np.log(slots + 1) ** 2)
    assert weights.sum() + 1.0 / (SLOT_CONSTANT * log(10**6)) == pytest.approx(1.0, abs=1e-5)
    assert pytest.approx(2.1097, abs=1e-3) == SLOT_CONSTANT


def many(mixture: Mixture, count: int, log_e: float) -> Mixture:
    for _ in range(count):
        mixture = advance(mixture, ONE, np.array([[log_e]]))
    return mixture


def test_late_harm_is_found_though_the_past_was_good() -> None:
    """After 300 good blocks 20 bad ones are enough for the mixture; the product alone would still be far below 1."""
    late = many(many(start_mixture(1), 300, -0.1), 20, 0.75)
    assert late.log_c[1, 0] < -10
    assert log_evidence(late)[1] > log(20)


def test_slots_open_with_every_tenth_moment() -> None:
    """The remaining weight falls at moments 1, 11, 21, … only."""
    mixture, falls = start_mixture(1), []
    for t in range(25):
        before = mixture.rest[0]
        mixture = many(mixture, 1, 0.0)
        if mixture.rest[0] < before:
            falls.append(t)
    assert falls == [0, SLOT_MOMENTS, 2 * SLOT_MOMENTS]


def test_nothing_overflows() -> None:
    """Evidence of ±10^5 nats a block stays finite in the log domain."""
    up, down = many(start_mixture(1), 50, 1e5), many(start_mixture(1), 50, -1e5)
    assert log_evidence(up)[1] == pytest.approx(5e6, rel=1e-3)
    assert np.isfinite(log_evidence(down)).all()
    assert log_evidence(down)[1] < 0


def test_a_single_segment_is_the_total() -> None:
    """With one segment the gate's e-value is the total's."""
    mixture = many(many(start_mixture(2), 7, 0.3), 5, -0.2)
    assert log_combined(mixture) == pytest.approx(float(log_evidence(mixture)[0]), rel=1e-12)


def test_half_is_spread_over_segments() -> None:
    """Segments that start together: E = ½ total + ½ mean over them."""
    mixture = start_mixture(1)
    for _ in range(3):
        mixture = advance(mixture, np.array([1, 2, 3]), np.array([[0.5], [0.0], [-0.5]]))
    e = np.exp(log_evidence(mixture))
    assert exp(log_combined(mixture)) == pytest.approx(0.5 * e[0] + 0.5 * e[1:].mean(), rel=1e-12)
    assert e[0] == pytest.approx(1.0, rel=1e-12)
