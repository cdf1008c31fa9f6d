"""The newest decisions of each service, for people: bounded, in memory, refilled from ``canary.decisions``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from schemas.decision import Record

DECISIONS_KEPT = 200


class History:
    """By service, the newest records of the audit, each once."""

    def __init__(self) -> None:
        self._records: dict[str, deque[Record]] = {}

    def add(self, record: Record) -> bool:
        """Keep a record; False when it is known: what was published again after a take-over is no news."""
        kept = self._records.setdefault(record.service, deque(maxlen=DECISIONS_KEPT))
        if record in kept:
            return False
        kept.append(record)
        return True

    def of(self, service: str) -> tuple[Record, ...]:
        """The records of a service, oldest first."""
        return tuple(self._records.get(service, ()))

    def keep_only(self, services: Iterable[str]) -> None:
        """Forget services that are looked after elsewhere."""
        kept = set(services)
        for name in self._records.keys() - kept:
            del self._records[name]
