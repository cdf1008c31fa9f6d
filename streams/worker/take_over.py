"""Taking partitions over: what the table holds, what was published, and where to begin to read."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping

import msgspec
import structlog

from schemas.decision import Record, decode_record
from schemas.route import Route
from streams.kafka_reader import Reader, bounds
from streams.route_reader import read_routes
from streams.settings import Settings
from streams.topics import DECISIONS
from streams.worker.broker_port import BrokerPort
from streams.worker.checkpoint import Checkpointer
from streams.worker.ending import Ending
from streams.worker.partition import Partition
from streams.worker.registry import Owned, Registry
from streams.worker.restore import Restored, restore

DECISIONS_READ = 500
"""Newest records of each partition of the audit that are read back for people."""

_READ_TIMEOUT_S = 10.0

_log = structlog.stdlib.get_logger("serinus.worker")


class TakeOver:
    """Rebuilds the registry after each assignment. Ends the process when a partition cannot be taken over soundly."""

    def __init__(self, settings: Settings, registry: Registry, port: BrokerPort, ending: Ending) -> None:
        self._settings, self._registry, self._port, self._ending = settings, registry, port, ending

    async def run(self) -> None:
        """Called when Faust has restored the table, before any record is read."""
        try:
            await self._run()
        except Exception as error:
            _log.critical("partitions could not be taken over", exc_info=True)
            self._ending("partitions could not be taken over", error=f"{type(error).__name__}: {error}")

    async def _run(self) -> None:
        began_s, assignment = time.monotonic(), self._registry.assignments
        numbers = sorted(self._port.assigned())
        routes, decisions, limits = await asyncio.gather(
            asyncio.to_thread(read_routes, self._settings),
            asyncio.to_thread(read_decisions, self._settings),
            self._port.bounds(),
        )
        items = list(self._port.stored())
        owned: dict[int, Owned] = {}
        for number in numbers:
            restored = restore(items, partition=number, partitions=self._registry.partitions)
            owned[number] = self._owned(number, restored, routes, limits[number])
        if not self._registry.install(owned, assignment=assignment):
            return
        for record in decisions:
            if self._registry.partition_of(record.service) in owned:
                self._registry.history.add(record)
        for number, one in owned.items():
            await self._port.seek(number, one.partition.position.expected)
        _log.info(
            "partitions taken over",
            partitions=numbers,
            services=len(self._registry.services()),
            read_from={number: one.partition.position.expected for number, one in owned.items()},
            seconds=round(time.monotonic() - began_s, 2),
        )

    def _owned(self, number: int, restored: Restored, routes: Mapping[str, Route], limits: tuple[int, int]) -> Owned:
        for line in restored.unreadable:
            _log.critical("a record of the table cannot be read; a service it belongs to is not judged", record=line)
        first, end = limits
        partition = Partition(
            number,
            partitions=self._registry.partitions,
            writer=secrets.token_hex(8),
            restored=restored,
            routed={name: (route.epoch, route.release_id) for name, route in routes.items()},
            caught_up_at=end,
        )
        position = partition.position
        if position.expected > end:
            self._ending(
                "the inputs end before what the state contains: the topic was created anew. "
                "Delete the worker's changelog topic, or use another topic prefix",
                partition=number,
                end=end,
                expected=position.expected,
            )
        if position.expected < first:
            if restored.services:
                _log.error(
                    "inputs were deleted before they were read: evidence and windows miss what they held",
                    partition=number,
                    expected=position.expected,
                    first=first,
                )
            position.skip_to(first)
        return Owned(partition, Checkpointer(partition, self._port, time.monotonic))


def read_decisions(settings: Settings) -> list[Record]:
    """The newest records of ``canary.decisions``; raises UnreachableError."""
    topic = settings.topic(DECISIONS)
    starts = {number: max(low, end - DECISIONS_READ) for number, (low, end) in bounds(settings, topic).items()}
    records: list[Record] = []
    deadline_s = time.monotonic() + _READ_TIMEOUT_S
    with Reader(settings, topic, starts) as reader:
        while not reader.caught_up and time.monotonic() < deadline_s:
            for message in reader.poll(1.0):
                try:
                    records.append(decode_record(message.value() or b""))
                except msgspec.DecodeError:
                    continue  # not ours: the audit is for people, a foreign record changes nothing
    return records
