"""The windows of one service in memory: what they hold, and how they become wider as they grow old."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from schemas.report import Cell
from streams.worker.state import WindowAdded
from streams.worker.stored_windows import StoredWindow, at_rest, opened
from streams.worker.tiers import Edges, Span, edges_at, wider
from streams.worker.windows import Window, add, settled, widened

RESTS_AFTER_MS = 60_000
"""A window whose end is older than this is packed in memory; what comes late opens it again."""

WindowKey = tuple[str, Span]
"""Service and panes."""


class ServiceWindows:
    """Each request of the service is in exactly one of them.

    Parameters
    ----------
    service : its name.
    found : by recovery. They may be ahead of the service, and wider than its time asks for.
    """

    def __init__(self, service: str, found: Mapping[Span, StoredWindow] | None = None) -> None:
        self.service = service
        self.held: dict[Span, Window | StoredWindow] = dict(found or {})
        self._edges: Edges | None = None

    def age(self, now_ms: int) -> tuple[set[Span], set[Span]]:
        """Merge what has become old, and drop what is too old; before anything of that input is added.

        At this moment every window holds all inputs before this one: a window is never wider before that.

        Parameters
        ----------
        now_ms : the service's time in the log.

        Returns
        -------
        Windows that are new, and those that are gone.
        """
        if self._edges is not None and now_ms < self._edges.until_ms:
            return set(), set()
        self._edges = edges = edges_at(self.service, now_ms)
        parts: dict[Span, list[Window]] = {}
        gone: set[Span] = set()
        for span in sorted(self.held):
            home = edges.home(span.first)
            if home is None:
                gone.add(span)
            elif home.panes > span.panes:
                gone.add(span)
                parts.setdefault(home, []).append(self.window(span))
        for span in gone:
            del self.held[span]
        self._rest(now_ms)
        for span, windows in parts.items():
            self.held[span] = widened(span, windows)
        return set(parts), gone

    def add(self, added: Iterable[WindowAdded], *, applied: int) -> set[Span]:
        """Add all that one input brings; returns the windows that it concerns.

        Panes of one window come together: its ``applied`` says of an input that all of it is inside.
        """
        cells: dict[Span, tuple[Cell, ...]] = {}
        for one in added:
            home = self.home(one.pane)
            if home is not None:
                cells[home] = (*cells.get(home, ()), *one.cells)
        for span, new in cells.items():
            known = span in self.held
            window = self.window(span) if known else Window(self.service, span.first, applied=-1, panes=span.panes)
            self.held[span] = add(window, new, applied=applied)
        return set(cells)

    def home(self, pane: int) -> Span | None:
        """The window that a pane belongs to; None when it is too old.

        While a recovery reads, a window may be wider already than the service's time says: it contains the pane.
        """
        home = self._edges.home(pane) if self._edges is not None else None
        for span in wider(pane):
            if span in self.held and (home is None or span.panes > home.panes):
                home = span
        return home

    def window(self, span: Span) -> Window:
        """One of the windows."""
        window = self.held[span]
        return window if isinstance(window, Window) else opened(window)

    def settle(self, span: Span) -> StoredWindow:
        """A window as it is stored; in memory it now has one cell per version and segment, too."""
        window = self.held[span]
        if isinstance(window, StoredWindow):
            return window
        self.held[span] = window = settled(window)
        return at_rest(window)

    def _rest(self, now_ms: int) -> None:
        """Pack the windows that little is still added to: memory would be four times as large."""
        for span, window in self.held.items():
            if isinstance(window, Window) and span.bounds[1] < now_ms - RESTS_AFTER_MS:
                self.held[span] = at_rest(settled(window))

    def within(self, *, from_ms: int, to_ms: int) -> Iterator[Window | StoredWindow]:
        """The windows that overlap ``[from_ms, to_ms)``, in order of time."""
        for span in sorted(self.held):
            if span.overlaps(from_ms=from_ms, to_ms=to_ms):
                yield self.held[span]
