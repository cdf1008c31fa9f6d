"""Windows: stretches of event time that operators query, of one pane or of several merged ones."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.summaries.merged_cells import merge_cells
from schemas.report import Cell
from streams.worker.tiers import Span

WINDOW_VERSION = 1
"""Format of a stored window, of its cells, and of the tiers that say how wide it is."""


class Window(msgspec.Struct, frozen=True):
    """One window of one service, all of its cells named by its first pane."""

    service: str
    pane: int
    """The first one."""
    applied: int
    """Largest input offset merged into it; a fold of an input up to this one is already inside."""
    cells: tuple[Cell, ...] = ()
    panes: int = 1
    """How many there are."""

    @property
    def span(self) -> Span:
        """Its panes."""
        return Span(self.pane, self.panes)


PARTS_MAX = 32
"""Cells of one version and segment that wait unmerged. Merging each by itself decodes the whole window every time."""


def add(window: Window, cells: tuple[Cell, ...], *, applied: int) -> Window:
    """Put cells into a window, unless the input that brought them was put there before.

    Parameters
    ----------
    window : as it is held.
    cells : all of the window's service and panes.
    applied : offset of the input that brought them.

    Returns
    -------
    The window with up to PARTS_MAX cells of each version and segment; :func:`settled` makes them one.
    """
    if applied <= window.applied:
        return window
    parts = window.cells + _named(cells, window.pane)
    if len(parts) >= PARTS_MAX * len({(cell.version, cell.segment) for cell in parts}):
        parts = merged(parts)
    return msgspec.structs.replace(window, applied=applied, cells=parts)


def widened(span: Span, parts: Sequence[Window]) -> Window:
    """One window of all the requests of several.

    Parameters
    ----------
    span : what it covers.
    parts : at least one window of one service, all inside; all complete up to the same input, so that what the newest
        of them has applied is what the whole has applied.
    """
    cells = tuple(cell for part in parts for cell in _named(part.cells, span.first))
    applied = max(part.applied for part in parts)
    return Window(parts[0].service, span.first, applied, cells, panes=span.panes)


def _named(cells: tuple[Cell, ...], pane: int) -> tuple[Cell, ...]:
    return tuple(cell if cell.pane == pane else msgspec.structs.replace(cell, pane=pane) for cell in cells)


def settled(window: Window) -> Window:
    """The window with one cell per version and segment."""
    return msgspec.structs.replace(window, cells=merged(window.cells))


def merged(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """One cell per service, version, segment and pane, in that order."""
    groups: dict[tuple[str, str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.service, cell.version, cell.segment, cell.pane), []).append(cell)
    return tuple(merge_cells(group, pane=pane) for (*_, pane), group in sorted(groups.items()))
