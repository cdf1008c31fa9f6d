"""Where the code under test writes: everything is acknowledged and counted, nothing is kept but what is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from schemas.dead_letter import decode_dead_letter
from streams.settings import Settings
from streams.topics import EVENTS_DEAD, topics
from streams.worker.faust_app import changelog_topic

_OVERHEAD_BYTES = 100
"""Of a batch of one record, at most."""

LIMITS = {topic.name: topic.record_bytes_max for topic in topics(Settings())}
"""A larger record would be refused by the broker, and end the process that sends it."""

Taken = Callable[[str, bytes | None, int | None], None]


class Written:
    """Counts what is written; what is too large for its topic fails."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Dead letters by reason."""

    def add(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        size = len(key or b"") + len(value or b"") + _OVERHEAD_BYTES
        assert size <= LIMITS.get(topic, 1_048_588), f"{topic}: a record of {size} bytes"
        self.records[topic] += 1
        if topic == EVENTS_DEAD:
            letter = decode_dead_letter(value or b"")
            assert letter.reason and letter.path.startswith("$"), letter
            self.refused[letter.reason] += 1


class Port:
    """:class:`streams.worker.broker_port.BrokerPort` over one partition; sent records may be handed on."""

    def __init__(self, taken: Taken | None = None) -> None:
        self.written, self.table = Written(), dict[bytes, bytes]()
        self._taken, self._changelog = taken, changelog_topic(Settings())

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        self.written.add(topic, key, value)
        if self._taken is not None:
            self._taken(topic, value, partition)

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        self.written.add(self._changelog, key, value)
        if value is None:
            self.table.pop(key, None)
        else:
            self.table[key] = value

    def stored(self) -> list[tuple[bytes, bytes]]:
        return list(self.table.items())

    async def seek(self, partition: int, offset: int) -> None:
        raise AssertionError("no record is missing")

    async def bounds(self) -> dict[int, tuple[int, int]]:
        return {0: (0, 0)}

    def assigned(self) -> frozenset[int]:
        return frozenset({0})

    def owners(self) -> dict[int, str]:
        return {}

    def end_offset(self, partition: int) -> int | None:
        return None

    def rebalancing(self) -> bool:
        return False
