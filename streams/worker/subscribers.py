"""Live listeners: each has a bounded queue of its own, and a slow one loses the oldest, never the worker's time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

QUEUE_MAX = 256
SUBSCRIBERS_MAX = 100


class Happening(msgspec.Struct, frozen=True):
    """Something that listeners are told: ``kind`` is ``decision``, ``refusal`` or ``window``."""

    kind: str
    service: str
    body: bytes
    """JSON."""


class TooManySubscribersError(Exception):
    """The bound on listeners is reached."""


class Subscription:
    """One listener's queue."""

    def __init__(self, service: str | None) -> None:
        self.service = service
        self.lost = 0
        self._queue: asyncio.Queue[Happening] = asyncio.Queue(QUEUE_MAX)

    def put(self, happening: Happening) -> None:
        """Add one; the oldest goes when the queue is full."""
        if self.service is not None and self.service != happening.service:
            return
        if self._queue.full():
            self._queue.get_nowait()
            self.lost += 1
        self._queue.put_nowait(happening)

    async def next(self) -> Happening:
        """Wait for the next one."""
        return await self._queue.get()


class Subscribers:
    """All listeners of this worker."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self, service: str | None) -> Iterator[Subscription]:
        """Listen to one service, or to all when ``service`` is None.

        Raises
        ------
        TooManySubscribersError : the bound is reached.
        """
        if len(self._subscriptions) >= SUBSCRIBERS_MAX:
            raise TooManySubscribersError(f"{SUBSCRIBERS_MAX} listeners are connected")
        subscription = Subscription(service)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def tell(self, happening: Happening) -> None:
        """Tell everybody who listens."""
        for subscription in self._subscriptions:
            subscription.put(happening)
