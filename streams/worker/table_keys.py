"""Keys of the worker's table: which entity, and which writer wrote it.

The writer is part of the key (exactness rule 13): with last-value-wins per entity, a worker that lost its partition
without noticing could hide a newer record behind a stale one. Recovery reads all writers' records of an entity and
keeps the one that has applied most.
"""

from __future__ import annotations

import enum

import msgspec

from streams.worker.tiers import Span


class Kind(enum.Enum):
    """What a record of the table is about."""

    SERVICE = "service"
    WINDOW = "window"
    CURSOR = "cursor"


class TableKey(msgspec.Struct, frozen=True):
    """One record's key.

    Parameters
    ----------
    kind : what it is about.
    writer : the writer's id, new at each assignment; without ``|``.
    entity : the service's name, or for a cursor the partition's number.
    pane, panes : the first pane of a window and how many there are; 0 and 1 otherwise.
    """

    kind: Kind
    writer: str
    entity: str
    pane: int = 0
    panes: int = 1

    def encode(self) -> bytes:
        """The key as bytes. The entity comes last, because a service may be called anything.

        >>> TableKey(Kind.WINDOW, "w1", "a|b", 17).encode()
        b'window|w1|17|a|b'
        >>> TableKey(Kind.WINDOW, "w1", "chat", 120, 60).encode()
        b'window|w1|120x60|chat'
        """
        pane = str(self.pane) if self.panes == 1 else f"{self.pane}x{self.panes}"
        return f"{self.kind.value}|{self.writer}|{pane}|{self.entity}".encode()


def window_key(writer: str, service: str, span: Span) -> TableKey:
    """The key of a window."""
    return TableKey(Kind.WINDOW, writer, service, span.first, span.panes)


def decode_key(raw: bytes) -> TableKey:
    """The inverse of :meth:`TableKey.encode`.

    Raises
    ------
    ValueError : the bytes are no key of ours.
    """
    kind, writer, pane, entity = raw.decode().split("|", 3)
    first, _, panes = pane.partition("x")
    return TableKey(Kind(kind), writer, entity, int(first), int(panes or 1))
