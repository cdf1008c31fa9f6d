"""One worker process: the real agents, take-over, fold and checkpoints behind the modelled port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from schemas.inputs import Tick, encode_input
from streams.settings import Settings
from streams.topics import INPUTS
from streams.worker.commands import CommandsAgent
from streams.worker.faust_app import Arrived
from streams.worker.inputs import InputsAgent
from streams.worker.recorder import Recorder
from streams.worker.registry import Registry
from streams.worker.take_over import TakeOver
from tests.simulator.broker import INPUT_PARTITIONS, Broker, Log, Record
from tests.simulator.settle_loop import SettleLoop
from tests.simulator.worker_port import WorkerPort, Write


class Ended(BaseException):
    """The worker ended itself."""


def _end(why: str, **fields: object) -> NoReturn:
    raise Ended(why, fields)


class WorkerProcess:
    """From its start to its end. ``ended`` says why, once it has.

    Parameters
    ----------
    seen : called with each record that it has written.
    """

    def __init__(
        self,
        broker: Broker,
        member: int,
        loop: SettleLoop,
        seen: Callable[[Write, Record], None],
    ) -> None:
        settings = Settings()
        self.broker, self.member, self._loop = broker, member, loop
        self.ended: str | None = None
        self.port = WorkerPort(broker, seen)
        self.registry = Registry(INPUT_PARTITIONS)
        self.commands_position: int | None = None
        recorder = Recorder()
        self.inputs = InputsAgent(settings, self.registry, self.port, recorder, _end, lambda: broker.elapsed_s)
        self.commands = CommandsAgent(settings, INPUT_PARTITIONS, self.port, recorder, _end)
        self.take_over = TakeOver(settings, self.registry, self.port, _end)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def assign(self, partitions: set[int], fences: dict[str, int]) -> None:
        """Faust: all is revoked, the table is read back, and reading begins where the take-over says."""
        self.registry.suspend()
        self.port.believes = set(partitions)
        self.port.positions.clear()
        self.commands_position = self.broker.commands_commit if 0 in partitions else None
        self.port.fences = fences
        self.port.recover()
        self._start("take-over", self.take_over.run())

    def feed_input(self, partition: int) -> bool:
        """Hand over the next record of a partition, if the agent is free and there is one."""
        place = self.port.positions.get(partition)
        if self.busy("inputs") or place is None:
            return False
        found = _next(self.broker.inputs[partition], place)
        if found is None:
            return False
        self.port.positions[partition] = found.offset + 1
        self._start("inputs", self.inputs.handle(_arrived(partition, found)))
        return True

    def feed_command(self) -> bool:
        """The same for the commands."""
        if self.busy("commands") or self.commands_position is None:
            return False
        found = _next(self.broker.commands, self.commands_position)
        if found is None:
            return False
        self.commands_position = found.offset + 1
        self._start("commands", self.commands.handle(_arrived(0, found)))
        return True

    def tick(self) -> None:
        """Each partition in hand is told that time passes."""
        if self.busy("tick") or not self.registry.ready or self.registry.closing:
            return
        self._start("tick", self._tick())

    async def _tick(self) -> None:
        value = encode_input(Tick(writer=str(self.member)))
        sends = [self.port.send(INPUTS, key=None, value=value, partition=n) for n in sorted(self.registry.owned)]
        await asyncio.gather(*sends, return_exceptions=True)

    def stop(self) -> None:
        """An orderly stop, with a broker that answers."""
        self._start("close", self.inputs.close())
        while self.ended is None and self.port.writes:
            self.perform(self.port.choices()[0])
        self.end("stopped")

    def perform(self, write: Write) -> None:
        """One write succeeds."""
        self.port.perform(write)
        self._settle()

    def fail(self, write: Write, *, written: bool) -> None:
        """One write fails, or only seems to."""
        self.port.fail(write, written=written)
        self._settle()

    def end(self, why: str, *, landing: int = 0) -> None:
        """The process is gone; of what was on its way, the writes whose bit is set arrive all the same."""
        if self.ended is None:
            self.ended = why
        writes = list(self.port.writes)
        for task in self._tasks.values():
            task.cancel()
        self._loop.settle()
        for number, write in enumerate(writes):
            if landing >> number & 1 and write in self.port.writes and write in self.port.choices():
                self.port.perform(write)
        self.port.writes.clear()

    def busy(self, slot: str) -> bool:
        """Whether a task of this kind waits for a write."""
        task = self._tasks.get(slot)
        return task is not None and not task.done()

    def _start(self, slot: str, body: Coroutine[Any, Any, None]) -> None:
        self._tasks[slot] = self._loop.create_task(body)
        self._settle()

    def _settle(self) -> None:
        self._loop.settle()
        for slot, task in list(self._tasks.items()):
            if not task.done():
                continue
            del self._tasks[slot]
            error = None if task.cancelled() else task.exception()
            # Anything else that a handler raises is Faust's: it goes on with the next record.
            if isinstance(error, Ended):
                self.end(str(error.args))
                return


def _next(log: Log, place: int) -> Record | None:
    """What a fetch from ``place`` brings; below the first offset the client starts again at the first."""
    return log.at(max(place, log.first))


def _arrived(partition: int, record: Record) -> Arrived:
    return Arrived(partition, record.offset, record.log_ms, record.key, record.value)
