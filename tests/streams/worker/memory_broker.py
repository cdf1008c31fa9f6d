"""A broker in memory behind the worker's port: what was sent, what was stored, and a crash at any write."""

from __future__ import annotations

import random
from typing import NamedTuple, NoReturn

from streams.worker.broker_port import SendFailedError


class Crash(BaseException):
    """The process is gone: nothing catches this."""


class Ended(BaseException):
    """The worker ended itself."""


class Sent(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None


class MemoryBroker:
    """Keeps everything.

    Parameters
    ----------
    crash_after : this many writes are acknowledged, then the process is gone.
    fail_after : this many writes are acknowledged, then the broker refuses.
    """

    def __init__(self, *, crash_after: int | None = None, fail_after: int | None = None) -> None:
        self.sent: list[Sent] = []
        self.table: dict[bytes, bytes] = {}
        self.writes: list[tuple[str, bytes | None]] = []
        self.seeks: list[tuple[int, int]] = []
        self.limits: dict[int, tuple[int, int]] = {}
        self.owned_by: dict[int, str] = {}
        self.is_rebalancing = False
        self.crash_after, self.fail_after = crash_after, fail_after

    def _count(self, what: str, key: bytes | None) -> None:
        if self.crash_after is not None and len(self.writes) >= self.crash_after:
            raise Crash
        if self.fail_after is not None and len(self.writes) >= self.fail_after:
            raise SendFailedError("refused")
        self.writes.append((what, key))

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        self._count("send", key)
        self.sent.append(Sent(topic, key, value, partition))

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        self._count("store", key)
        if value is None:
            self.table.pop(key, None)
        else:
            self.table[key] = value

    def stored(self) -> list[tuple[bytes, bytes]]:
        # In no order: after compaction, the place of a key in the log says nothing about which writer is ahead.
        items = sorted(self.table.items())
        random.Random(len(self.writes)).shuffle(items)
        return items

    async def seek(self, partition: int, offset: int) -> None:
        self.seeks.append((partition, offset))

    async def bounds(self) -> dict[int, tuple[int, int]]:
        return self.limits

    def assigned(self) -> frozenset[int]:
        return frozenset(self.limits)

    def owners(self) -> dict[int, str]:
        return self.owned_by

    def end_offset(self, partition: int) -> int | None:
        return self.limits.get(partition, (0, 0))[1]

    def rebalancing(self) -> bool:
        return self.is_rebalancing


def end_test(why: str, **fields: object) -> NoReturn:
    """In place of the end of the process."""
    raise Ended(why, fields)
