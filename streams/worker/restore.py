"""What recovery takes from the table: per entity, the value that has applied most."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.service_partition import partition_of
from streams.worker.state import Service
from streams.worker.stored_records import Cursor, ServiceRecord, UnknownFormatError, decode_value, header_of
from streams.worker.stored_windows import StoredWindow
from streams.worker.table_keys import Kind, TableKey, decode_key
from streams.worker.tiers import Span


class Restored(msgspec.Struct):
    """One partition as the table knows it.

    Parameters
    ----------
    services, replay_from : by name.
    windows : by service; where a wider window contains others, only the wider one.
    cursor : None when no checkpoint was ever completed.
    stuck : services whose newest record cannot be read, with the reason. They are not judged.
    unreadable : other records that cannot be read.
    """

    services: dict[str, Service] = {}
    replay_from: dict[str, int] = {}
    windows: dict[str, dict[Span, StoredWindow]] = {}
    cursor: Cursor | None = None
    stuck: dict[str, str] = {}
    unreadable: list[str] = []

    @property
    def read_from(self) -> int:
        """The input offset at which to begin reading (exactness rule 15).

        Without a cursor, services may exist that no checkpoint has seen: only the whole log shows them.
        """
        if self.cursor is None:
            return 0
        return min([*self.replay_from.values(), self.cursor.replay_from])


def restore(items: Iterable[tuple[bytes, bytes]], *, partition: int, partitions: int) -> Restored:
    """Choose among all writers' records of one partition.

    Parameters
    ----------
    items : keys and values of the table, of any partition and in any order.
    partition : the partition of ``canary.inputs`` that is taken over.
    partitions : how many there are.
    """
    restored = Restored()
    best: dict[tuple[Kind, str, Span], tuple[int, TableKey, bytes]] = {}
    for raw_key, raw in items:
        try:
            key = decode_key(raw_key)
            if _partition(key, partitions) != partition:
                continue
            applied = header_of(raw).applied
        except ValueError as error:
            restored.unreadable.append(f"{raw_key!r}: {error}")
            continue
        entity = (key.kind, key.entity, Span(key.pane, key.panes))
        if entity not in best or applied > best[entity][0]:
            best[entity] = (applied, key, raw)
    for _, key, raw in best.values():
        _take(restored, key, raw)
    restored.windows = {name: widest(windows) for name, windows in restored.windows.items()}
    return restored


def widest(windows: dict[Span, StoredWindow]) -> dict[Span, StoredWindow]:
    """Without the windows that a wider one contains.

    Whoever stored the wider one had applied all that ever comes for the others: they are merged at an input, with every
    writer at the same one, and what comes after it goes to the wider one.
    """
    found: dict[Span, StoredWindow] = {}
    held: Span | None = None
    for span in sorted(windows, key=lambda span: (span.first, -span.panes)):
        if held is None or not held.contains(span):
            held = span
            found[span] = windows[span]
    return found


def _partition(key: TableKey, partitions: int) -> int:
    return int(key.entity) if key.kind is Kind.CURSOR else partition_of(key.entity, partitions)


def _take(restored: Restored, key: TableKey, raw: bytes) -> None:
    try:
        match key.kind:
            case Kind.SERVICE:
                record = decode_value(raw, ServiceRecord)
                restored.services[key.entity] = Service(stored=record.stored)
                restored.replay_from[key.entity] = record.replay_from
            case Kind.WINDOW:
                window = decode_value(raw, StoredWindow)
                restored.windows.setdefault(key.entity, {})[window.span] = window
            case Kind.CURSOR:
                restored.cursor = decode_value(raw, Cursor)
    except UnknownFormatError as error:
        restored.unreadable.append(f"{key.encode()!r}: {error}")
        if key.kind is not Kind.CURSOR:
            restored.stuck[key.entity] = str(error)
