"""Panes and windows of event time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.panes import pane_bounds, pane_of, panes_of, windows_of
from schemas.report import PANE_MS

moments = st.integers(-(10**13), 10**13)


@given(moments)
def test_a_moment_lies_in_its_pane(ts_ms: int) -> None:
    """start <= ts < end for the pane of every moment, before 1970 too."""
    start, end = pane_bounds(pane_of(ts_ms))
    assert start <= ts_ms < end
    assert end - start == PANE_MS


@given(moments, st.integers(0, 100 * PANE_MS), st.integers(0, 100 * PANE_MS))
def test_a_window_is_half_open(from_ms: int, length: int, offset: int) -> None:
    """A moment is within [from, to) only if its pane is among the window's panes, and no pane lies outside.

    ::

        from      to
         |---------)
        [p0 )[p1 )[p2 )     to on a boundary leaves p2 out
    """
    to_ms = from_ms + length
    panes = panes_of(from_ms=from_ms, to_ms=to_ms)
    if offset < length:
        assert pane_of(from_ms + offset) in panes
    for pane in (panes[0], panes[-1]) if panes else ():
        start, end = pane_bounds(pane)
        assert start < to_ms
        assert end > from_ms


def test_windows_tile() -> None:
    """Consecutive windows touch and together cover what was asked, from multiples of their length."""
    tiles = list(windows_of(from_ms=12_345, to_ms=99_999, window_ms=30_000))
    assert tiles == [(0, 30_000), (30_000, 60_000), (60_000, 90_000), (90_000, 120_000)]


def test_impossible_windows_are_refused() -> None:
    """A window that ends before it starts, and a length that is no multiple of a pane, are errors."""
    with pytest.raises(ValueError, match="ends after it starts"):
        panes_of(from_ms=1, to_ms=0)
    with pytest.raises(ValueError, match="multiple"):
        list(windows_of(from_ms=0, to_ms=1, window_ms=PANE_MS + 1))
    with pytest.raises(ValueError, match="ends after it starts"):
        list(windows_of(from_ms=1, to_ms=0, window_ms=PANE_MS))
