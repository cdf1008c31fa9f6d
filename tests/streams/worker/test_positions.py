"""Redeliveries and holes."""

from __future__ import annotations

from streams.worker.positions import SEEK_S, SEEKS_MAX, Arrival, Position


def test_offsets_below_at_and_above_the_expected_one() -> None:
    """Below is a redelivery, above a hole; only the next one is processed."""
    position = Position(5)
    assert [position.arrival(offset) for offset in (4, 5, 6)] == [Arrival.AGAIN, Arrival.NEXT, Arrival.AHEAD]
    position.passed()
    assert position.arrival(6) is Arrival.NEXT


def test_seeking_back_is_given_up_after_some_tries() -> None:
    """A record that never comes must not be sought for ever; one that comes resets the count."""
    position = Position(5)
    assert [position.sought(i * SEEK_S) for i in range(SEEKS_MAX + 1)] == [True] * SEEKS_MAX + [False]
    position.passed()
    assert position.sought(0.0)


def test_records_already_on_their_way_do_not_seek_again() -> None:
    """After a seek, what was fetched before still arrives; it must not use up the tries."""
    position = Position(5)
    assert position.seek_due(0.0)
    position.sought(0.0)
    assert not position.seek_due(SEEK_S - 0.1)
    assert position.seek_due(SEEK_S)
    position.passed()
    assert position.seek_due(0.1)
