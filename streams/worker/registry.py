"""Everything that one worker holds, for its agents and for its HTTP interface."""

from __future__ import annotations

import asyncio
import time

from streams.service_partition import partition_of
from streams.worker.answers import Answers
from streams.worker.checkpoint import Checkpointer
from streams.worker.history import History
from streams.worker.partition import Partition
from streams.worker.subscribers import Subscribers


class Owned:
    """One partition that this worker looks after."""

    def __init__(self, partition: Partition, checkpointer: Checkpointer) -> None:
        self.partition, self.checkpointer = partition, checkpointer
        self.moved_s = time.monotonic()
        """When its inputs last moved on."""


class Registry:
    """The partitions in hand, and those who wait for news of them.

    Parameters
    ----------
    partitions : how many partitions ``canary.inputs`` has.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.owned: dict[int, Owned] = {}
        self.ready = False
        self.assignments = 0
        """Counts assignments, so that a recovery notices that it was overtaken by the next one."""
        self.turn = asyncio.Lock()
        """Held while one record is folded and its effects are published, and while a checkpoint is written."""
        self.history = History()
        self.answers = Answers()
        self.subscribers = Subscribers()
        self.closing = False
        self.suspended_s = time.monotonic()
        """When it last began to wait for partitions."""

    def suspend(self) -> None:
        """Partitions were revoked: nothing in memory is ours any more."""
        self.assignments += 1
        self.ready = False
        self.suspended_s = time.monotonic()
        self.owned = {}

    def install(self, owned: dict[int, Owned], *, assignment: int) -> bool:
        """Take partitions over; False when another assignment came in between."""
        if assignment != self.assignments:
            return False
        self.owned, self.ready = owned, True
        self.history.keep_only(self.services())
        return True

    def partition_of(self, service: str) -> int:
        """The partition that a service lives on."""
        return partition_of(service, self.partitions)

    def holder(self, service: str) -> Partition | None:
        """The partition of a service, when it is this worker's."""
        owned = self.owned.get(self.partition_of(service))
        return owned.partition if owned is not None and self.ready else None

    def services(self) -> list[str]:
        """The services of this worker, stuck ones included."""
        return sorted(
            name
            for owned in self.owned.values()
            for name in owned.partition.services.keys() | owned.partition.stuck.keys()
        )

    def stuck(self) -> dict[str, str]:
        """Services that are not judged, with the reason."""
        return {name: why for owned in self.owned.values() for name, why in owned.partition.stuck.items()}
