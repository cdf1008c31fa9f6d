"""Redeliveries and holes."""

from __future__ import annotations

from streams.worker.positions import SEEKS_MAX, Arrival, Position


def test_offsets_below_at_and_above_the_expected_one() -> None:
    """Below is a redelivery, above a hole; only the next one is processed."""
    position = Position(5)
    assert [position.arrival(offset) for offset in (4, 5, 6)] == [Arrival.AGAIN, Arrival.NEXT, Arrival.AHEAD]
    position.passed()
    assert position.arrival(6) is Arrival.NEXT


def test_seeking_back_is_given_up_after_some_tries() -> None:
    """A record that never comes must not be sought for ever; one that comes resets the count."""
    position = Position(5)
    assert [position.sought() for _ in range(SEEKS_MAX + 1)] == [True] * SEEKS_MAX + [False]
    position.passed()
    assert position.sought()
