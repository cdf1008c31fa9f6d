"""Checkpoints: what has to be written, in which order, and writing it.

Order (exactness rule 12): windows, then services, then the cursor. A service that was restored is then never ahead of
its windows; a window that is ahead of its service skips what it already contains. Records of one kind have no order:
each stands for itself, so they go out together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec

from streams.worker.partition import Partition
from streams.worker.stored_records import Cursor, encode_value, service_record
from streams.worker.table_keys import Kind, TableKey, window_key
from streams.worker.tiers import Span

CHECKPOINT_S = 1.0
"""While anything changes, a partition is stored this often."""

COUNTED_S = 3.0
"""A service of which requests are counted and nothing is judged is stored this often, with its windows."""

REWRITE_S = 10.0
"""Every service is stored at least this often: its ``replay_from`` is how far back a recovery has to read."""

SHARE_MAX = 0.25
"""So much of the time a worker waits for its checkpoints, if that asks for no more than :data:`REWRITE_S` between them.
Inputs wait meanwhile: where Kafka takes a second to acknowledge, a checkpoint takes up to four, and one a second later
would leave no time to make up what is behind."""

TOGETHER_MAX = 32
"""So many records are made, sent and waited for at once: sent one by one, each costs a request, and the wait for it."""


class Write(msgspec.Struct, frozen=True):
    """One record of the table; without a value, the end of one of our own keys."""

    key: TableKey
    value: bytes | None
    done: Callable[[], object]
    """Takes it off the list; called when it is acknowledged."""


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
        self.stored_s, self._took_s = now_s(), 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for one."""
        wait_s = max(CHECKPOINT_S, self._took_s * (1 / SHARE_MAX - 1))
        return self._now_s() - self.stored_s >= min(wait_s, REWRITE_S)

    async def write(self, *, everything: bool = False) -> int:
        """Store what changed; called only when the effects of all inputs so far are acknowledged (rule 11).

        Parameters
        ----------
        everything : also what is not due yet; for an orderly stop.

        Returns
        -------
        How many records were written.
        """
        written, began_s = 0, self._now_s()
        for phase in self._phases(everything):
            while writes := list(islice(phase, TOGETHER_MAX)):
                await asyncio.gather(
                    *(self._table.store(self._partition.number, write.key.encode(), write.value) for write in writes)
                )
                for write in writes:
                    write.done()
                written += len(writes)
        self.stored_s = self._now_s()
        self._took_s = self.stored_s - began_s
        return written

    def _phases(self, everything: bool) -> Iterator[Iterator[Write]]:
        """The records in order. What a phase is to hold is asked for when the one before it is acknowledged."""
        services = self._services_due(everything)
        yield self._windows(services)
        yield self._services(services)
        if self._cursor_due(everything, services=bool(services)):
            yield self._cursor_moved()
        yield self._ends()

    def _windows(self, names: list[str]) -> Iterator[Write]:
        p = self._partition

        def done(service: str, span: Span) -> None:
            p.pending.windows.discard((service, span))
            p.own_windows.add((service, span))

        due = set(names)
        for service, span in sorted(key for key in p.pending.windows if key[0] in due):
            window = p.windows[service].settle(span)
            yield Write(window_key(p.writer, service, span), encode_value(window), partial(done, service, span))

    def _services(self, names: list[str]) -> Iterator[Write]:
        p = self._partition

        def done(name: str) -> None:
            for pending in (p.pending.services, p.pending.counted, p.pending.touched):
                pending.discard(name)
            p.stored.add(name)
            self._service_stored_s[name] = self._now_s()
            self._service_stored_at[name] = p.services[name].stored.applied

        for name in names:
            value = encode_value(service_record(p.services[name]))
            yield Write(TableKey(Kind.SERVICE, p.writer, name), value, partial(done, name))

    def _cursor_moved(self) -> Iterator[Write]:
        p = self._partition
        expected = p.position.expected

        def done() -> None:
            self._cursor, self._cursor_stored_s = expected, self._now_s()

        cursor = Cursor(applied=expected - 1, replay_from=expected)
        yield Write(TableKey(Kind.CURSOR, p.writer, str(p.number)), encode_value(cursor), done)

    def _ends(self) -> Iterator[Write]:
        p = self._partition
        # A recovery that begins before the end of these windows still needs them.
        passed = sorted(key for key, at in p.pending.ended.items() if self._service_stored_at.get(key[0], -1) >= at)
        for service, span in passed:
            yield Write(window_key(p.writer, service, span), None, partial(p.pending.ended.pop, (service, span)))

    def _cursor_due(self, everything: bool, *, services: bool) -> bool:
        """A partition without services has one too: otherwise all of its log would be read at each take-over."""
        moved = self._partition.position.expected != self._cursor
        old = self._now_s() - self._cursor_stored_s >= REWRITE_S
        return moved and (everything or services or old)

    def _age_s(self, name: str) -> float:
        """How long ago a service was stored; one that never was is as old as can be."""
        return self._now_s() - self._service_stored_s.get(name, -REWRITE_S)

    def _services_due(self, everything: bool) -> list[str]:
        p = self._partition
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
                or (name in p.pending.counted and self._age_s(name) >= COUNTED_S)
                or (name in p.pending.touched and self._age_s(name) >= REWRITE_S)
            )
        )
