"""The query of the windows table: its parameters checked, and the windows that it asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.command import TIME_MS_MAX
from schemas.report import PANE_MS, Cell
from streams.http.problem import wrong_parameter
from streams.worker.partition import Partition
from streams.worker.stored_windows import StoredWindow, opened
from streams.worker.tiers import TIERS, Span
from streams.worker.window_rows import WindowRow, rows_of
from streams.worker.windows import Window

DEFAULT_SPAN_MS = 10 * 60 * 1000
SPAN_MS_MAX = 31 * 24 * 3600 * 1000
ROWS_DEFAULT = 1000
ROWS_MAX = 10_000

LIMITS: Mapping[str, tuple[int, int]] = {
    "from_ms": (0, TIME_MS_MAX),
    "to_ms": (0, TIME_MS_MAX),
    "window_ms": (PANE_MS, SPAN_MS_MAX),
    "limit": (1, ROWS_MAX),
}
"""The numbers that a query may have, each with the least and the largest that is allowed."""

_KNOWN = (*LIMITS, "version", "segment")


class WindowQuery(msgspec.Struct, frozen=True):
    """Which windows are asked for. ``version`` and ``segment`` are None for all."""

    from_ms: int
    to_ms: int
    window_ms: int
    limit: int
    version: str | None = None
    segment: str | None = None


class Kept(msgspec.Struct, frozen=True):
    """Windows that are not older than ``for_ms`` can be as short as ``window_ms``."""

    window_ms: int
    for_ms: int


KEPT = tuple(Kept(window_ms=tier.panes * PANE_MS, for_ms=tier.kept_ms) for tier in TIERS)


class WindowPage(msgspec.Struct, frozen=True):
    """Rows in order of time. ``next_from_ms`` is where the next page begins; None at the end.

    A row may be longer than ``window_ms`` where its requests are older than ``kept`` says: its start and end count.
    """

    service: str
    from_ms: int
    to_ms: int
    window_ms: int
    rows: list[WindowRow]
    next_from_ms: int | None
    kept: tuple[Kept, ...] = KEPT


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
    to_ms = _number(query, "to_ms", now_ms + PANE_MS)
    from_ms = _number(query, "from_ms", max(0, to_ms - DEFAULT_SPAN_MS))
    if not 0 <= to_ms - from_ms <= SPAN_MS_MAX:
        raise wrong_parameter("to_ms", str(to_ms), f"from_ms to from_ms + {SPAN_MS_MAX}")
    window_ms = _number(query, "window_ms", PANE_MS)
    if window_ms % PANE_MS:
        raise wrong_parameter("window_ms", str(window_ms), f"a multiple of {PANE_MS}")
    return WindowQuery(
        from_ms=from_ms,
        to_ms=to_ms,
        window_ms=window_ms,
        limit=_number(query, "limit", ROWS_DEFAULT),
        version=query.get("version"),
        segment=query.get("segment"),
    )


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    (low, high), text = LIMITS[name], query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
        raise wrong_parameter(name, text[:40], f"an integer from {low} to {high}")
    return int(text)


class Touched(msgspec.Struct, frozen=True):
    """What a query touches: folded windows, and the slices that are still open, so that nothing waits.

    None of it is ever changed, so it may be worked on in another thread.
    """

    windows: list[Window | StoredWindow]
    still_open: list[tuple[Span, Cell]]


def touched(partition: Partition, service: str, query: WindowQuery) -> Touched:
    """What the query needs of a service."""
    from_ms = query.from_ms // query.window_ms * query.window_ms
    to_ms = -(-query.to_ms // query.window_ms) * query.window_ms
    windows = partition.windows[service]
    still_open = [
        (home, cell)
        for held in partition.services[service].open.values()
        for cell in held.cells
        if (home := windows.home(cell.pane)) is not None and home.overlaps(from_ms=from_ms, to_ms=to_ms)
    ]
    return Touched(list(windows.within(from_ms=from_ms, to_ms=to_ms)), still_open)


def _by_span(found: Touched, query: WindowQuery) -> dict[Span, list[Cell]]:
    """The cells of each window, those still open included."""
    cells: dict[Span, list[Cell]] = {}
    for window in found.windows:
        whole = window if isinstance(window, Window) else opened(window)
        cells.setdefault(window.span, []).extend(cell for cell in whole.cells if _wanted(cell, query))
    for span, cell in found.still_open:
        if _wanted(cell, query):
            cells.setdefault(span, []).append(cell)
    return cells


def _wanted(cell: Cell, query: WindowQuery) -> bool:
    return query.version in {None, cell.version} and query.segment in {None, cell.segment}


def page_of(service: str, found: Touched, query: WindowQuery) -> WindowPage:
    """Merge into windows until the page is full; a window is never split between pages."""
    rows: list[WindowRow] = []
    next_from_ms: int | None = None
    for (start_ms, end_ms), inside in _by_window(_by_span(found, query), query.window_ms):
        if rows and len(rows) >= query.limit:
            next_from_ms = start_ms
            break
        rows += rows_of(inside, start_ms=start_ms, end_ms=end_ms)
    return WindowPage(
        service=service,
        from_ms=query.from_ms,
        to_ms=query.to_ms,
        window_ms=query.window_ms,
        rows=rows,
        next_from_ms=next_from_ms,
    )


def _by_window(cells: Mapping[Span, list[Cell]], window_ms: int) -> list[tuple[tuple[int, int], list[Cell]]]:
    """The cells of each window with its start and end, Unix ms, in order.

    What is old is kept in wider windows. Asked ones that share such a window are one: their bounds say so, and nothing
    is split by a guess.
    """
    found: list[tuple[tuple[int, int], list[Cell]]] = []
    for span in sorted(cells):
        first_ms, last_ms = span.bounds
        start_ms, end_ms = first_ms // window_ms * window_ms, -(-last_ms // window_ms) * window_ms
        if found and start_ms < found[-1][0][1]:
            bounds, inside = found[-1]
            found[-1] = (bounds[0], max(bounds[1], end_ms)), inside + cells[span]
        else:
            found.append(((start_ms, end_ms), cells[span]))
    return found
