"""Who asked for a command over HTTP waits here until the fold has answered it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.decision import Decision, Record

WAITING_MAX = 1000


class TooManyWaitingError(Exception):
    """More commands wait for an answer than are ever sent by people."""


class Answers:
    """Futures by command id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Record]] = {}

    @contextmanager
    def expect(self, command_id: str) -> Iterator[asyncio.Future[Record]]:
        """Wait for the answer to a command; to be entered before it is sent.

        Raises
        ------
        TooManyWaitingError : the bound is reached.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise TooManyWaitingError(f"{WAITING_MAX} commands wait for an answer")
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        try:
            yield future
        finally:
            del self._waiting[command_id]

    def tell(self, record: Record) -> None:
        """A decision or refusal was published."""
        command_id = record.command_id
        future = self._waiting.get(command_id) if command_id is not None else None
        if future is not None and not future.done():
            future.set_result(record)


def carried_out(record: Record) -> bool:
    """Whether the answer says that the command was carried out."""
    return isinstance(record, Decision)
