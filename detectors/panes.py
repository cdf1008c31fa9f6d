"""Panes and windows: integer arithmetic on half-open stretches of event time."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.report import PANE_MS


def pane_of(ts_ms: int) -> int:
    """The pane that holds a moment: pane p is ``[p PANE_MS, (p + 1) PANE_MS)``.

    >>> pane_of(0), pane_of(9_999), pane_of(10_000), pane_of(-1)
    (0, 0, 1, -1)
    """
    return ts_ms // PANE_MS


def pane_bounds(pane: int) -> tuple[int, int]:
    """Start (inclusive) and end (exclusive) of a pane, Unix ms.

    >>> pane_bounds(3)
    (30000, 40000)
    """
    return pane * PANE_MS, (pane + 1) * PANE_MS


def panes_of(*, from_ms: int, to_ms: int) -> range:
    """The panes that overlap ``[from_ms, to_ms)``, ascending; none when the window is empty.

    Raises
    ------
    ValueError : when the window ends before it starts.

    >>> list(panes_of(from_ms=0, to_ms=20_000)), list(panes_of(from_ms=5, to_ms=10_001))
    ([0, 1], [0, 1])
    >>> list(panes_of(from_ms=10_000, to_ms=10_000))
    []
    """
    if to_ms < from_ms:
        raise ValueError(f"a window ends after it starts, found from_ms={from_ms}, to_ms={to_ms}")
    if to_ms == from_ms:
        return range(0)
    return range(from_ms // PANE_MS, -(-to_ms // PANE_MS))


def windows_of(*, from_ms: int, to_ms: int, window_ms: int) -> Iterator[tuple[int, int]]:
    """The windows of one length that tile ``[from_ms, to_ms)`` from multiples of the length, as (start, end).

    Raises
    ------
    ValueError : when the length is not a positive multiple of PANE_MS.

    >>> list(windows_of(from_ms=15_000, to_ms=45_000, window_ms=20_000))
    [(0, 20000), (20000, 40000), (40000, 60000)]
    """
    if window_ms <= 0 or window_ms % PANE_MS:
        raise ValueError(f"window_ms must be a positive multiple of {PANE_MS}, found {window_ms}")
    if to_ms < from_ms:
        raise ValueError(f"a window ends after it starts, found from_ms={from_ms}, to_ms={to_ms}")
    start = from_ms // window_ms * window_ms
    while start < to_ms:
        yield start, start + window_ms
        start += window_ms
