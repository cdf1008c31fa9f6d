"""Keys of the worker's table: which entity, and which writer wrote it.

The writer is part of the key (exactness rule 13): with last-value-wins per entity, a worker that lost its partition
without noticing could hide a newer record behind a stale one. Recovery reads all writers' records of an entity and
keeps the one that has applied most.
"""

from __future__ import annotations

import enum

import msgspec


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
    pane : the pane of a window; 0 otherwise.
    """

    kind: Kind
    writer: str
    entity: str
    pane: int = 0

    def encode(self) -> bytes:
        """The key as bytes. The entity comes last, because a service may be called anything.

        >>> TableKey(Kind.WINDOW, "w1", "a|b", 17).encode()
        b'window|w1|17|a|b'
        """
        return f"{self.kind.value}|{self.writer}|{self.pane}|{self.entity}".encode()


def decode_key(raw: bytes) -> TableKey:
    """The inverse of :meth:`TableKey.encode`.

    Raises
    ------
    ValueError : the bytes are no key of ours.
    """
    kind, writer, pane, entity = raw.decode().split("|", 3)
    return TableKey(Kind(kind), writer, entity, int(pane))
