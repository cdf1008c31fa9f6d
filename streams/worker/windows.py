"""Windows: the panes of event time that operators query."""

from __future__ import annotations

import msgspec

from detectors.summaries.summary import Summary
from schemas.report import Cell

WINDOW_VERSION = 1


class Window(msgspec.Struct, frozen=True):
    """One pane of one service, as it is stored: one cell per version and segment."""

    service: str
    pane: int
    applied: int
    """Largest input offset merged into it; a fold of an input up to this one is already inside."""
    cells: tuple[Cell, ...] = ()
    format: int = WINDOW_VERSION


PARTS_MAX = 32
"""Cells of one version and segment that wait unmerged. Merging each by itself decodes the whole window every time."""


def add(window: Window, cells: tuple[Cell, ...], *, applied: int) -> Window:
    """Put cells into a window, unless the input that brought them was put there before.

    Parameters
    ----------
    window : as stored.
    cells : all of the window's service and pane.
    applied : offset of the input that brought them.

    Returns
    -------
    The window with up to PARTS_MAX cells of each version and segment; :func:`settled` makes them one.
    """
    if applied <= window.applied:
        return window
    parts = window.cells + cells
    if len(parts) >= PARTS_MAX * len({(cell.version, cell.segment) for cell in parts}):
        parts = merged(parts)
    return msgspec.structs.replace(window, applied=applied, cells=parts)


def settled(window: Window) -> Window:
    """The window with one cell per version and segment, as it is stored."""
    return msgspec.structs.replace(window, cells=merged(window.cells))


def merged(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """One cell per service, version, segment and pane, in that order."""
    groups: dict[tuple[str, str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.service, cell.version, cell.segment, cell.pane), []).append(cell)
    return tuple(
        group[0]
        if len(group) == 1
        else Summary.merge_all([Summary.of_cell(cell) for cell in group]).to_cell(
            service=key[0], version=key[1], segment=key[2], pane=key[3]
        )
        for key, group in sorted(groups.items())
    )
