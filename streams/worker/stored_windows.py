"""Windows at rest: as they are stored, and as most of them are held in memory."""

from __future__ import annotations

import zlib

import msgspec

from schemas.report import Cell
from streams.worker.tiers import Span
from streams.worker.windows import WINDOW_VERSION, Window


class StoredWindow(msgspec.Struct, frozen=True):
    """A window whose cells are packed: a quarter of the bytes, and opened only when somebody adds to it or asks.

    ``packed`` is zlib's compression of the cells in msgpack.
    """

    service: str
    pane: int
    applied: int
    packed: bytes
    format: int = WINDOW_VERSION
    panes: int = 1

    @property
    def span(self) -> Span:
        """Its panes."""
        return Span(self.pane, self.panes)


def at_rest(window: Window) -> StoredWindow:
    """A settled window, packed."""
    cells = zlib.compress(_encode(window.cells), _LEVEL)
    return StoredWindow(window.service, window.pane, window.applied, cells, panes=window.panes)


def opened(window: StoredWindow) -> Window:
    """The inverse of :func:`at_rest`."""
    cells = _decode(zlib.decompress(window.packed))
    return Window(window.service, window.pane, window.applied, cells, panes=window.panes)


_LEVEL = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Cell, ...]).decode
