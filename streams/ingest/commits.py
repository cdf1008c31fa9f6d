"""Which offset may be committed: pure bookkeeping of what was sent and what the broker has acknowledged."""

from __future__ import annotations

from collections import deque


class Commits:
    """The first offset of a slice may be committed once everything sent before the slice was opened is acknowledged.

    Sends are numbered from 1. A later acknowledgement never stands in for an earlier one that is missing.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._through = 0
        self._early: set[int] = set()
        self._waiting: dict[int, deque[tuple[int, int]]] = {}
        self._allowed: dict[int, int] = {}

    @property
    def outstanding(self) -> int:
        """Sends that wait for their acknowledgement."""
        return self._sent - self._through - len(self._early)

    def sent(self) -> int:
        """Number one more send, of a report or of a dead letter."""
        self._sent += 1
        return self._sent

    def acknowledged(self, number: int) -> None:
        """The broker has this one for good."""
        self._early.add(number)
        while self._through + 1 in self._early:
            self._through += 1
            self._early.remove(self._through)

    def opened(self, source: int, first_offset: int) -> None:
        """A slice was opened after everything sent so far."""
        self._waiting.setdefault(source, deque()).append((self._sent, first_offset))

    def allowed(self) -> dict[int, int]:
        """The newest offset that may be committed, of each source partition that has a new one."""
        for source, waiting in self._waiting.items():
            while waiting and waiting[0][0] <= self._through:
                self._allowed[source] = waiting.popleft()[1]
        return dict(self._allowed)

    def committed(self, source: int, offset: int) -> None:
        """This offset needs no further commit."""
        if self._allowed.get(source) == offset:
            del self._allowed[source]

    def drop(self, source: int) -> None:
        """Somebody else owns this source partition now."""
        self._waiting.pop(source, None)
        self._allowed.pop(source, None)
