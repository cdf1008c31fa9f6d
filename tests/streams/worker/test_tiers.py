"""Windows become wider as they grow old: nothing is lost, nothing is counted twice, and their number has a bound."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.report import PANE_MS
from streams.worker.service_windows import ServiceWindows
from streams.worker.state import WindowAdded
from streams.worker.stored_windows import StoredWindow
from streams.worker.tiers import TIERS, edges_at, windows_max
from tests.streams.worker.inputs_log import START_MS, cell

DAY_MS = 86_400_000
moments = st.integers(START_MS, START_MS + 2 * DAY_MS)
ages_ms = st.integers(-300_000, 26 * 3_600_000)


def test_each_width_divides_the_next() -> None:
    """A window moves into a wider one whole."""
    for tier, after in pairwise(TIERS):
        assert after.panes % tier.panes == 0
        assert after.kept_ms >= tier.kept_ms + 2 * after.panes * PANE_MS


@given(st.text(max_size=8), moments, ages_ms, st.integers(0, 2 * DAY_MS))
def test_a_pane_is_in_one_window_that_only_grows(service: str, now_ms: int, age_ms: int, later_ms: int) -> None:
    """Panes of one window share it, whatever is asked; later it is inside a window at least as wide, or gone."""
    pane = (now_ms - age_ms) // PANE_MS
    home = edges_at(service, now_ms).home(pane)
    after = edges_at(service, now_ms + later_ms).home(pane)
    if home is None:
        assert after is None
        return
    inside = range(home.first, home.first + home.panes)
    assert {edges_at(service, now_ms).home(one) for one in inside} == {home}
    until_ms = edges_at(service, now_ms).until_ms
    assert edges_at(service, until_ms - 1).firsts == edges_at(service, now_ms).firsts
    assert edges_at(service, until_ms).firsts != edges_at(service, now_ms).firsts
    assert after is None or after.contains(home)
    assert {edges_at(service, now_ms + later_ms).home(one) for one in inside} == {after}


@given(st.text(max_size=8), moments)
def test_what_a_tier_keeps_is_as_short_as_it_says(service: str, now_ms: int) -> None:
    """Up to its age a pane is in a window of its tier or of a shorter one."""
    edges = edges_at(service, now_ms)
    for tier in TIERS:
        home = edges.home((now_ms - tier.kept_ms) // PANE_MS)
        assert home is not None
        assert home.panes <= tier.panes


def test_a_day_of_windows_keeps_every_request_within_the_bound() -> None:
    """A request in every pane for 27 hours, some of them late: what is kept counts all of them, in so many windows."""
    windows, draw, told = ServiceWindows("chat"), random.Random(3), dict[int, int]()
    most = 0
    for step in range(27 * 360):
        now_ms = START_MS + step * PANE_MS
        windows.age(now_ms)
        late_ms = draw.choice((0, 30_000, 2 * 3_600_000, 20 * 3_600_000))
        added = []
        for ts_ms in {now_ms, max(START_MS, now_ms - late_ms)}:
            pane = ts_ms // PANE_MS
            added.append(WindowAdded(pane, (cell("chat", "v1", ts_ms=ts_ms, n=1, errors=0),)))
            told[pane] = told.get(pane, 0) + 1
        windows.add(added, applied=step)
        most = max(most, len(windows.held))
    assert most <= windows_max()
    assert most >= 0.9 * windows_max()
    for span in windows.held:
        found = sum(one.n for one in windows.window(span).cells)
        assert found == sum(told.get(pane, 0) for pane in range(span.first, span.first + span.panes))
    kept = {pane for span in windows.held for pane in range(span.first, span.first + span.panes)}
    newest = max(told)
    assert set(range(newest - 24 * 360, newest + 1)) <= kept


def test_what_is_old_is_packed_and_opens_again() -> None:
    """Memory holds packed cells; a late request is added to them all the same."""
    windows = ServiceWindows("chat")
    windows.age(START_MS)
    one = cell("chat", "v1", ts_ms=START_MS, n=2, errors=1, latency_ms=[5.0, 6.0])
    (span,) = windows.add([WindowAdded(START_MS // PANE_MS, (one,))], applied=1)
    windows.age(START_MS + 600_000)
    assert isinstance(windows.held[span], StoredWindow)
    windows.add([WindowAdded(START_MS // PANE_MS, (one,))], applied=1)
    assert sum(c.n for c in windows.window(span).cells) == 2
    windows.add([WindowAdded(START_MS // PANE_MS, (one,))], applied=2)
    assert sum(c.n for c in windows.window(span).cells) == 4
    assert windows.settle(span).applied == 2
