"""Verdicts combine by the worst, and nothing known is never good."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from releases.verdict import combine
from schemas.evidence import Verdict

SOME = st.lists(st.sampled_from(Verdict))


def test_nothing_is_no_data() -> None:
    """A release whose gates have all gone silent does not pass."""
    assert combine([]) is Verdict.NO_DATA


def test_the_order() -> None:
    """PASS < INCONCLUSIVE < NO_DATA < ERROR < FAIL."""
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR, Verdict.FAIL]
    for better, worse in pairwise(order):
        assert combine([better, worse]) is combine([worse, better]) is worse


@given(SOME.filter(bool), SOME.filter(bool))
def test_combining_is_associative(some: list[Verdict], more: list[Verdict]) -> None:
    """Gates, canaries and segments may be combined in any grouping."""
    assert combine([combine(some), combine(more)]) is combine(some + more)


@given(SOME)
def test_pass_needs_all(some: list[Verdict]) -> None:
    """PASS comes out exactly when something went in and all of it was PASS."""
    assert (combine(some) is Verdict.PASS) == (bool(some) and set(some) == {Verdict.PASS})
