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
    """Futures by command id: several, when somebody sends a command again before its answer has come."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[Record]]] = {}
        self._count = 0

    @contextmanager
    def expect(self, command_id: str) -> Iterator[asyncio.Future[Record]]:
        """Wait for the answer to a command; to be entered before it is sent.

        Raises
        ------
        TooManyWaitingError : the bound is reached.
        """
        if self._count >= WAITING_MAX:
            raise TooManyWaitingError(f"{WAITING_MAX} commands wait for an answer")
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(command_id, [])
        waiting.append(future)
        self._count += 1
        try:
            yield future
        finally:
            self._count -= 1
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(command_id, None)

    def tell(self, record: Record) -> None:
        """A decision or refusal was published."""
        for future in self._waiting.get(record.command_id or "", ()):
            if not future.done():
                future.set_result(record)


def carried_out(record: Record) -> bool:
    """Whether the answer says that the command was carried out."""
    return isinstance(record, Decision)
