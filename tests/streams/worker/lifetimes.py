"""Workers that come and go over one log and one table: what a crash leaves behind is all that the next one finds."""

from __future__ import annotations

import asyncio
import itertools

import msgspec

from schemas.decision import Decision, Refusal, decode_record
from schemas.inputs import encode_input
from schemas.report import Cell
from schemas.route import Route, decode_route
from streams.settings import Settings
from streams.topics import CONTROL, DECISIONS
from streams.worker.checkpoint import Checkpointer
from streams.worker.faust_app import Arrived
from streams.worker.inputs import InputsAgent
from streams.worker.partition import Partition
from streams.worker.recorder import Recorder
from streams.worker.registry import Owned, Registry
from streams.worker.restore import restore
from streams.worker.tiers import Span
from streams.worker.window_rows import rows_of
from tests.streams.worker.inputs_log import Log
from tests.streams.worker.memory_broker import MemoryBroker, end_test

_writers = itertools.count()


class Lifetime:
    """One worker from its take-over on, with a clock that moves with the records.

    Parameters
    ----------
    broker : shared by all lifetimes.
    log : the one partition of ``canary.inputs``, all of it present at take-over.
    """

    def __init__(self, broker: MemoryBroker, log: Log) -> None:
        self.broker, self.log, self.now_s = broker, log, 0.0
        routes: dict[str, Route] = {}
        for sent in broker.sent:
            if sent.topic == CONTROL and sent.value is not None:
                route = decode_route(sent.value)
                routes[route.service] = max(
                    route, routes.get(route.service, route), key=lambda r: (r.epoch, r.issued_at_ms)
                )
        broker.limits = {0: (0, len(log))}
        self.partition = Partition(
            0,
            partitions=1,
            writer=f"w{next(_writers)}",
            restored=restore(broker.stored(), partition=0, partitions=1),
            routed={name: (route.epoch, route.release_id) for name, route in routes.items()},
            caught_up_at=broker.limits[0][1],
        )
        self.registry = Registry(1)
        self.owned = Owned(self.partition, Checkpointer(self.partition, broker, lambda: self.now_s))
        self.registry.install({0: self.owned}, assignment=0)
        self.recorder = Recorder()
        self.agent = InputsAgent(Settings(), self.registry, broker, self.recorder, end_test, lambda: self.now_s)

    def read(self, until: int | None = None) -> None:
        """Read the log from where recovery begins."""
        asyncio.run(self.read_all(until))

    async def read_all(self, until: int | None = None) -> None:
        """The same inside a running loop."""
        until = len(self.log) if until is None else until
        for offset in range(self.partition.position.expected, until):
            record, log_ms = self.log[offset]
            self.now_s += 0.3
            await self.agent.handle(Arrived(0, offset, log_ms, None, encode_input(record)))

    def stop(self) -> None:
        """An orderly stop: everything is stored."""
        asyncio.run(self.agent.close())

    def windows(self) -> dict[tuple[str, Span], bytes]:
        """Every window's rows, as JSON, for comparing."""
        return {
            (name, span): msgspec.json.encode(rows_of(sorted(window.cells, key=_order), start_ms=0, end_ms=0))
            for name, windows in self.partition.windows.items()
            for span, window in ((span, windows.window(span)) for span in windows.held)
        }

    def states(self) -> dict[str, tuple[object, ...]]:
        """What the services know, without the judge's arrays."""
        return {
            name: (s.stored.applied, s.stored.created, s.stored.sources, s.stored.judged, s.stored.late, s.open.keys())
            for name, s in self.partition.services.items()
        }


def _order(cell: Cell) -> tuple[str, str]:
    return cell.version, cell.segment


def audit(broker: MemoryBroker) -> set[bytes]:
    """Everything that stands on the audit, each record once."""
    return {sent.value for sent in broker.sent if sent.topic == DECISIONS and sent.value is not None}


def decisions(broker: MemoryBroker) -> list[Decision | Refusal]:
    """The audit in order."""
    return [decode_record(sent.value) for sent in broker.sent if sent.topic == DECISIONS and sent.value is not None]


def routes(broker: MemoryBroker) -> list[Route]:
    """The control topic in order."""
    return [decode_route(sent.value) for sent in broker.sent if sent.topic == CONTROL and sent.value is not None]
