"""Checkpoints: what has to be written, in which order, and writing it.

Order (exactness rule 12): windows, then services, then the cursor. A service that was restored is then never ahead of
its windows; a window that is ahead of its service skips what it already contains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from streams.worker.partition import Partition
from streams.worker.stored_records import Cursor, encode_value, service_record
from streams.worker.table_keys import Kind, TableKey, window_key

CHECKPOINT_S = 1.0
"""While anything changes, a partition is stored this often."""

REWRITE_S = 10.0
"""Every service is stored at least this often: its ``replay_from`` is how far back a recovery has to read."""


class Write(msgspec.Struct, frozen=True):
    """One record of the table; without a value, the end of one of our own keys."""

    key: TableKey
    value: bytes | None


class Table(Protocol):
    """Where checkpoints go."""

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write one record and wait until the broker has acknowledged it; raises when it has not."""


class Checkpointer:
    """Writes the checkpoints of one partition.

    Parameters
    ----------
    partition : what to store.
    table : where to.
    now_s : a monotonic clock.
    """

    def __init__(self, partition: Partition, table: Table, now_s: Callable[[], float]) -> None:
        self._partition, self._table, self._now_s = partition, table, now_s
        self._service_stored_s: dict[str, float] = {}
        self._service_stored_at: dict[str, int] = {}
        """What each service had applied when it was last stored here."""
        self._cursor, self._cursor_stored_s = -1, now_s()
        self.stored_s = now_s()

    @property
    def due(self) -> bool:
        """Whether it is time for one."""
        return self._now_s() - self.stored_s >= CHECKPOINT_S

    async def write(self, *, everything: bool = False) -> int:
        """Store what changed; called only when the effects of all inputs so far are acknowledged (rule 11).

        Parameters
        ----------
        everything : also what is not due yet; for an orderly stop.

        Returns
        -------
        How many records were written.
        """
        written = 0
        for write in self._writes(everything):
            await self._table.store(self._partition.number, write.key.encode(), write.value)
            written += 1
        self.stored_s = self._now_s()
        return written

    def _writes(self, everything: bool) -> Iterator[Write]:
        """The records in order. Each is taken off the list only when the next one is asked for: it is acknowledged."""
        p = self._partition
        for service, span in sorted(p.pending.windows):
            window = p.windows[service].settle(span)
            yield Write(window_key(p.writer, service, span), encode_value(window))
            p.pending.windows.discard((service, span))
            p.own_windows.add((service, span))
        services = self._services_due(everything)
        for name in services:
            yield Write(TableKey(Kind.SERVICE, p.writer, name), encode_value(service_record(p.services[name])))
            p.pending.services.discard(name)
            p.pending.touched.discard(name)
            p.stored.add(name)
            self._service_stored_s[name] = self._now_s()
            self._service_stored_at[name] = p.services[name].stored.applied
        if self._cursor_due(everything, services=bool(services)):
            expected = p.position.expected
            cursor = Cursor(applied=expected - 1, replay_from=expected)
            yield Write(TableKey(Kind.CURSOR, p.writer, str(p.number)), encode_value(cursor))
            self._cursor, self._cursor_stored_s = expected, self._now_s()
        # A recovery that begins before the end of these windows still needs them.
        passed = sorted(key for key, at in p.pending.ended.items() if self._service_stored_at.get(key[0], -1) >= at)
        for service, span in passed:
            yield Write(window_key(p.writer, service, span), None)
            del p.pending.ended[service, span]

    def _cursor_due(self, everything: bool, *, services: bool) -> bool:
        """A partition without services has one too: otherwise all of its log would be read at each take-over."""
        moved = self._partition.position.expected != self._cursor
        old = self._now_s() - self._cursor_stored_s >= REWRITE_S
        return moved and (everything or services or old)

    def _services_due(self, everything: bool) -> list[str]:
        p, now_s = self._partition, self._now_s()
        return sorted(
            name
            for name, service in p.services.items()
            # Until recovery has read past what a service had applied, its open slices are not complete, and its
            # ``replay_from`` would say that there is nothing to read again.
            if name not in p.stuck
            and service.stored.applied < p.position.expected
            and (
                everything
                or name in p.pending.services
                or name not in p.stored
                or (name in p.pending.touched and now_s - self._service_stored_s.get(name, -REWRITE_S) >= REWRITE_S)
            )
        )
