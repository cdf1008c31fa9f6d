"""The worker under fuzzed inputs and commands: its real agents, fold and checkpoints over one partition in memory."""

from __future__ import annotations

from collections import Counter, deque
from typing import NoReturn

from schemas.inputs import Tick, encode_input
from streams.settings import Settings
from streams.topics import COMMANDS, EVENTS_DEAD, INPUTS
from streams.worker.checkpoint import Checkpointer
from streams.worker.commands import CommandsAgent
from streams.worker.faust_app import Arrived
from streams.worker.inputs import InputsAgent
from streams.worker.partition import SERVICES_MAX, Partition
from streams.worker.recorder import Recorder
from streams.worker.registry import Owned, Registry
from streams.worker.restore import Restored, restore
from tests.fuzz.ports import Port
from tests.streams.worker.inputs_log import START_MS

_MS_A_RECORD = 5
_TICK_EVERY = 50


class WorkerReader:
    """Counts what became of each record of ``canary.inputs`` and ``canary.commands``."""

    def __init__(self) -> None:
        self.offset = self.asked = 0
        self.waiting: deque[bytes | None] = deque()
        """Of ``canary.inputs``, in order: what is given, and commands that were forwarded there."""
        self.port = Port(self._sent)
        self.partition = Partition(0, partitions=1, writer="fuzz", restored=Restored(), routed={}, caught_up_at=0)
        self.registry, self.recorder = Registry(1), Recorder()
        self.registry.install(
            {0: Owned(self.partition, Checkpointer(self.partition, self.port, self._now_s))}, assignment=0
        )
        self.recorder.watch(self.registry, self.port)
        self.agent = InputsAgent(Settings(), self.registry, self.port, self.recorder, _ended, self._now_s)
        self.commands = CommandsAgent(Settings(), 1, self.port, self.recorder, _ended)

    def _now_s(self) -> float:
        return self.offset * _MS_A_RECORD / 1000

    def _sent(self, topic: str, value: bytes | None, _partition: int | None) -> None:
        if topic == INPUTS:
            self.waiting.append(value)

    async def input(self, raw: bytes | None) -> None:
        """One record of ``canary.inputs``, a tick now and then, and what they cause."""
        self.waiting.append(raw)
        await self._read()

    async def command(self, raw: bytes | None, key: bytes | None = None) -> None:
        """One record of ``canary.commands``."""
        await self.commands.handle(Arrived(0, self.asked, self._log_ms(), key, raw))
        self.asked += 1
        await self._read()

    async def _read(self) -> None:
        if self.offset % _TICK_EVERY == 0:
            self.waiting.append(encode_input(Tick("fuzz")))
        while self.waiting:
            await self.agent.handle(Arrived(0, self.offset, self._log_ms(), None, self.waiting.popleft()))
            self.offset += 1

    def _log_ms(self) -> int:
        return START_MS + self.offset * _MS_A_RECORD

    def check(self) -> dict[str, int]:
        """Every record is accounted for, and nothing is without bound; what became of how many."""
        taken = {kind: int(self.recorder.inputs.labels(kind)._value.get()) for kind in ("report", "tick", "forwarded")}
        dead = Counter[str]()
        for metric in self.recorder.dead.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    dead[sample.labels["topic"]] += int(sample.value)
        assert sum(taken.values()) + dead[INPUTS] == self.offset == self.partition.position.expected
        forwarded = int(self.recorder.commands._value.get())
        assert forwarded + dead[COMMANDS] == self.asked
        assert self.port.written.records[EVENTS_DEAD] == dead.total()
        assert len(self.partition.services) <= SERVICES_MAX
        assert len(self.partition.stuck) <= SERVICES_MAX
        # What is stored can be read again, whatever it was made of.
        again = restore(self.port.stored(), partition=0, partitions=1)
        assert not again.unreadable and not again.stuck, (again.unreadable[:3], again.stuck)
        stuck = len(self.partition.stuck)
        return taken | {f"refused from {topic}": n for topic, n in sorted(dead.items())} | {"services stuck": stuck}


def _ended(why: str, **fields: object) -> NoReturn:
    raise AssertionError(f"the worker ends itself: {why} {fields}")
