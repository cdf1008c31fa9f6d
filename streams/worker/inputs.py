"""The agent of ``canary.inputs``: a record is decoded and folded, its effects acknowledged, perhaps all is stored."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import structlog

from releases.machine_io import Decide
from schemas.inputs import Input as Record
from schemas.inputs import decode_input, report_format
from schemas.report import REPORT_VERSION, Report
from streams.settings import Settings
from streams.topics import INPUTS
from streams.worker.broker_port import BrokerPort, SendFailedError
from streams.worker.dead_letters import DeadLetters
from streams.worker.ending import Ending
from streams.worker.faust_app import Arrived
from streams.worker.live_windows import tell_windows
from streams.worker.partition import Partition, unknown_report
from streams.worker.positions import Arrival
from streams.worker.publishing import Publisher
from streams.worker.recorder import Recorder
from streams.worker.registry import Owned, Registry

_log = structlog.stdlib.get_logger("serinus.worker")


class InputsAgent:
    """Handles the records of ``canary.inputs``. It never raises: what cannot go on ends the process."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        port: BrokerPort,
        recorder: Recorder,
        ending: Ending,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = settings.topic(INPUTS)
        self._registry, self._port, self._recorder, self._ending = registry, port, recorder, ending
        self._now_s = now_s
        self._publisher = Publisher(settings, port, registry, recorder)
        self._dead_letters = DeadLetters(settings, port, recorder)

    async def handle(self, arrived: Arrived) -> None:
        """Take one record."""
        try:
            async with self._registry.turn:
                await self._take(arrived)
        except SendFailedError as error:
            self._ending("a write was not acknowledged; nothing more is sent", error=str(error))
        except Exception as error:
            _log.critical("a defect in the worker", offset=arrived.offset, exc_info=True)
            self._ending("the worker stops at a defect", error=f"{type(error).__name__}: {error}")

    async def _take(self, arrived: Arrived) -> None:
        owned = self._registry.owned.get(arrived.partition)
        if owned is None or self._registry.closing:
            return
        match owned.partition.position.arrival(arrived.offset):
            case Arrival.AGAIN:
                self._recorder.redelivered.inc()
            case Arrival.AHEAD:
                if await self._find_missing(owned, arrived):
                    await self._process(owned, arrived)
            case Arrival.NEXT:
                await self._process(owned, arrived)

    async def _find_missing(self, owned: Owned, arrived: Arrived) -> bool:
        """Records are missing before this one: read them, or, if they no longer exist, say so and go on.

        Returns
        -------
        Whether this record is now the next one.
        """
        number, position = arrived.partition, owned.partition.position
        now_s = self._now_s()
        if not position.seek_due(now_s):
            return False
        self._recorder.gaps.inc()
        first, _ = (await self._port.bounds())[number]
        if position.expected < first:
            _log.error(
                "inputs were deleted before they were read: evidence and windows miss what they held",
                partition=number,
                expected=position.expected,
                first=first,
            )
            position.skip_to(first)
            return position.expected == arrived.offset
        if not position.sought(now_s):
            self._ending("inputs are missing in the middle of the log", partition=number, expected=position.expected)
        _log.warning("reading back to a missing input", partition=number, expected=position.expected, at=arrived.offset)
        await self._port.seek(number, position.expected)
        return False

    async def _process(self, owned: Owned, arrived: Arrived) -> None:
        partition = owned.partition
        record = await self._decoded(arrived)
        if record is None:
            self._stop_if_newer(partition, arrived)
        else:
            effects = partition.apply(record, offset=arrived.offset, log_ms=arrived.log_ms)
            await self._publisher.publish(partition, effects)
            if any(isinstance(effect, Decide) for _, effect in effects):
                newest_ms = (record.newest_ms if isinstance(record, Report) else 0) or arrived.log_ms
                self._recorder.event_to_route_s.observe(max(0.0, time.time() - newest_ms / 1000))
        partition.position.passed()
        owned.moved_s = time.monotonic()
        if not partition.fenced and partition.caught_up:
            _log.info("caught up", partition=partition.number, offset=arrived.offset, services=len(partition.services))
            await self._publisher.publish(partition, partition.fence())
        if owned.checkpointer.due:
            await self.checkpoint(owned)

    async def _decoded(self, arrived: Arrived) -> Record | None:
        try:
            record = decode_input(arrived.value or b"")
        except msgspec.DecodeError as error:
            await self._dead_letters.refuse(
                arrived, topic=self._topic, reason="not an input of the worker", detail=str(error)
            )
            return None
        self._recorder.inputs.labels(type(record).__name__.lower()).inc()
        return record

    def _stop_if_newer(self, partition: Partition, arrived: Arrived) -> None:
        """A report that cannot even be decoded may concern any service of the partition."""
        found = report_format(arrived.value or b"")
        if found is not None and found != REPORT_VERSION:
            partition.stop(partition.services, unknown_report(found, arrived.offset))

    async def checkpoint(self, owned: Owned, *, everything: bool = False) -> None:
        """Store what changed; to be called when all effects are acknowledged."""
        began_s = time.monotonic()
        tell_windows(self._registry.subscribers, owned.partition)
        written = await owned.checkpointer.write(everything=everything)
        if written:
            self._recorder.checkpoint_records.inc(written)
            self._recorder.checkpoint_s.observe(time.monotonic() - began_s)

    async def close(self) -> None:
        """Store everything, once, at an orderly stop: the next owner has nothing to read again."""
        async with self._registry.turn:
            self._registry.closing = True
            for owned in self._registry.owned.values():
                await self.checkpoint(owned, everything=True)
