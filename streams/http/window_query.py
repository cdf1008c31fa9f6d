"""The query of the windows table: its parameters checked, and the windows that it asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from detectors.panes import pane_bounds, panes_of
from schemas.report import PANE_MS, Cell
from streams.http.problem import wrong_parameter
from streams.worker.partition import Partition
from streams.worker.window_rows import WindowRow, rows_of

DEFAULT_SPAN_MS = 10 * 60 * 1000
SPAN_MS_MAX = 31 * 24 * 3600 * 1000
ROWS_DEFAULT = 1000
ROWS_MAX = 10_000
TIME_MS_MAX = 253_402_300_800_000
"""The year 10000."""

_KNOWN = ("from_ms", "to_ms", "window_ms", "version", "segment", "limit")


class WindowQuery(msgspec.Struct, frozen=True):
    """Which windows are asked for. ``version`` and ``segment`` are None for all."""

    from_ms: int
    to_ms: int
    window_ms: int
    limit: int
    version: str | None = None
    segment: str | None = None


class WindowPage(msgspec.Struct, frozen=True):
    """Rows in order of time. ``next_from_ms`` is where the next page begins; None at the end."""

    service: str
    from_ms: int
    to_ms: int
    window_ms: int
    rows: list[WindowRow]
    next_from_ms: int | None


def parse_query(query: Mapping[str, str], *, now_ms: int) -> WindowQuery:
    """Check the parameters.

    Parameters
    ----------
    query : as they stand in the URL.
    now_ms : the newest log time of the service, the default end, Unix ms.

    Raises
    ------
    streams.http.problem.ProblemError : 400, naming the parameter, what was found and what is allowed.
    """
    for name in query:
        if name not in _KNOWN:
            raise wrong_parameter(name, query[name], f"one of {', '.join(_KNOWN)}")
    to_ms = _number(query, "to_ms", now_ms + PANE_MS, low=0, high=TIME_MS_MAX)
    from_ms = _number(query, "from_ms", max(0, to_ms - DEFAULT_SPAN_MS), low=0, high=TIME_MS_MAX)
    if not 0 <= to_ms - from_ms <= SPAN_MS_MAX:
        raise wrong_parameter("to_ms", str(to_ms), f"from_ms to from_ms + {SPAN_MS_MAX}")
    window_ms = _number(query, "window_ms", PANE_MS, low=PANE_MS, high=SPAN_MS_MAX)
    if window_ms % PANE_MS:
        raise wrong_parameter("window_ms", str(window_ms), f"a multiple of {PANE_MS}")
    return WindowQuery(
        from_ms=from_ms,
        to_ms=to_ms,
        window_ms=window_ms,
        limit=_number(query, "limit", ROWS_DEFAULT, low=1, high=ROWS_MAX),
        version=query.get("version"),
        segment=query.get("segment"),
    )


def _number(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
        raise wrong_parameter(name, text[:40], f"an integer from {low} to {high}")
    return int(text)


def cells_by_pane(partition: Partition, service: str, query: WindowQuery) -> dict[int, list[Cell]]:
    """The cells that the query touches: folded windows, and the slices that are still open, so that nothing waits.

    The cells themselves are never changed, so the result may be worked on in another thread.
    """
    start_ms = query.from_ms // query.window_ms * query.window_ms
    panes = panes_of(from_ms=start_ms, to_ms=-(-query.to_ms // query.window_ms) * query.window_ms)
    found: dict[int, list[Cell]] = {}
    for window in partition.panes(service, panes):
        found.setdefault(window.pane, []).extend(cell for cell in window.cells if _wanted(cell, query))
    for held in partition.services[service].open.values():
        for cell in held.cells:
            if cell.pane in panes and _wanted(cell, query):
                found.setdefault(cell.pane, []).append(cell)
    return found


def _wanted(cell: Cell, query: WindowQuery) -> bool:
    return query.version in {None, cell.version} and query.segment in {None, cell.segment}


def page_of(service: str, cells: Mapping[int, list[Cell]], query: WindowQuery) -> WindowPage:
    """Merge panes into windows until the page is full; a window is never split between pages."""
    rows: list[WindowRow] = []
    next_from_ms: int | None = None
    by_window: dict[int, list[Cell]] = {}
    for pane in sorted(cells):
        by_window.setdefault(pane_bounds(pane)[0] // query.window_ms * query.window_ms, []).extend(cells[pane])
    for start_ms, inside in by_window.items():
        if rows and len(rows) >= query.limit:
            next_from_ms = start_ms
            break
        rows += rows_of(inside, start_ms=start_ms, end_ms=start_ms + query.window_ms)
    return WindowPage(
        service=service,
        from_ms=query.from_ms,
        to_ms=query.to_ms,
        window_ms=query.window_ms,
        rows=rows,
        next_from_ms=next_from_ms,
    )
