"""Commits: never beyond what is still to be told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.hooks.places import Places


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.randoms())
def test_the_commit_stands_at_the_first_that_is_open(asked: list[int], random: object) -> None:
    """Whatever the order in which deliveries end, and over offsets with holes."""
    places, first = Places(), 10
    open_ = {first + 3 * index: count for index, count in enumerate(asked)}
    for offset, count in open_.items():
        places.begun(5, offset, count)
    todo = [offset for offset, count in open_.items() for _ in range(count)]
    random.shuffle(todo)  # type: ignore[attr-defined]
    committed, after_all = first, first + 3 * (len(asked) - 1) + 1
    for ended in [None, *todo]:
        if ended is not None:
            places.ended(5, ended)
            open_[ended] -= 1
        committed = places.allowed().get(5, committed)
        assert committed == min((offset for offset, count in open_.items() if count), default=after_all)
    assert (committed, places.waiting, places.allowed()) == (after_all, 0, {})


def test_partitions_are_apart() -> None:
    """What is open in one holds nothing back in another; what was given back is forgotten."""
    places = Places()
    places.begun(0, 4, 1)
    places.begun(1, 9, 2)
    places.ended(0, 4)
    assert (places.allowed(), places.waiting) == ({0: 5}, 2)
    places.clear()
    assert (places.allowed(), places.waiting) == ({}, 0)
