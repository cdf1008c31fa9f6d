"""The worker's port on the modelled broker: each write waits until the scheduler says what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streams.topics import BASES, CONTROL, DECISIONS, EVENTS_DEAD
from streams.worker.broker_port import SendFailedError
from tests.simulator.broker import Broker, Log, Record

TABLE = "table"


@dataclass
class Write:
    """One record on its way."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    done: asyncio.Future[None]
    fences: dict[str, int]
    """What the last take-over before it had found on the control topic."""


class WorkerPort:
    """Implements :class:`streams.worker.broker_port.BrokerPort` for one process.

    Parameters
    ----------
    broker : where records go.
    seen : called with each record that was written, before its acknowledgement.
    """

    def __init__(self, broker: Broker, seen: Callable[[Write, Record], None]) -> None:
        self._broker, self._seen = broker, seen
        self.writes: list[Write] = []
        self.believes: set[int] = set()
        self.positions: dict[int, int] = {}
        self.table: dict[bytes, bytes] = {}
        self.fences: dict[str, int] = {}
        """Per service, the newest epoch on the control topic at the last take-over."""

    # What the scheduler does.

    def choices(self) -> list[Write]:
        """The writes that may reach the broker next: within a topic's partition, the oldest."""
        first: dict[tuple[str, int], Write] = {}
        for write in self.writes:
            first.setdefault((write.topic, write.partition), write)
        return list(first.values())

    def perform(self, write: Write) -> None:
        """It is written and acknowledged."""
        self.writes.remove(write)
        self._put(write)
        if not write.done.done():
            write.done.set_result(None)

    def fail(self, write: Write, *, written: bool) -> None:
        """The client gives up; with ``written`` only the acknowledgement was lost."""
        self.writes.remove(write)
        if written:
            self._put(write)
        if not write.done.done():
            write.done.set_exception(SendFailedError("the model says no"))

    def recover(self) -> None:
        """Read the table back, as far as it is written now."""
        for partition in sorted(self.believes):
            for record in self._broker.changelog[partition].all():
                assert record.key is not None
                self.table.pop(record.key, None)
                if record.value is not None:
                    self.table[record.key] = record.value

    def _put(self, write: Write) -> None:
        record = self._log(write).append(self._broker.clock_ms, write.key, write.value)
        self._seen(write, record)

    def _log(self, write: Write) -> Log:
        broker = self._broker
        match write.topic:
            case "table":
                return broker.changelog[write.partition]
            case "canary.inputs":
                return broker.inputs[write.partition]
            case _:
                logs = {
                    DECISIONS: broker.decisions,
                    CONTROL: broker.control,
                    EVENTS_DEAD: broker.dead,
                    BASES: broker.bases,
                }
                return logs[write.topic]

    # What the worker calls.

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        await self._write(topic, partition or 0, key, value)

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        await self._write(TABLE, partition, key, value)

    async def _write(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        write = Write(topic, partition, key, value, done, self.fences)
        self.writes.append(write)
        await write.done

    def stored(self) -> Iterable[tuple[bytes, bytes]]:
        return list(self.table.items())

    async def seek(self, partition: int, offset: int) -> None:
        self.positions[partition] = offset

    async def bounds(self) -> dict[int, tuple[int, int]]:
        return {number: (log.first, log.end) for number, log in enumerate(self._broker.inputs)}

    def assigned(self) -> frozenset[int]:
        return frozenset(self.believes)

    def owners(self) -> dict[int, str]:
        return {}

    def end_offset(self, partition: int) -> int | None:
        return self._broker.inputs[partition].end

    def rebalancing(self) -> bool:
        return False
