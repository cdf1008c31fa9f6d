"""The world of one schedule: broker, processes, truth, and the checks after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import structlog

from schemas.decision import Record as Audit
from schemas.decision import decode_record
from schemas.route import Route, decode_route
from streams.ingest import bounds
from streams.settings import Settings
from streams.worker import take_over, tiers
from streams.worker.partition import Partition
from streams.worker.restore import restore
from streams.worker.stored_records import ServiceRecord, decode_value
from streams.worker.stored_windows import StoredWindow, opened
from streams.worker.table_keys import Kind, decode_key
from streams.worker.tiers import Span, Tier
from streams.worker.windows import Window
from tests.simulator.broker import INPUT_PARTITIONS, Broker, Record
from tests.simulator.ingest_process import IngestProcess, ModelTime
from tests.simulator.reference import Broken, Reference, counted, counts_of, stored_form, windows_of
from tests.simulator.schedule import Flavour
from tests.simulator.settle_loop import SettleLoop
from tests.simulator.truth import Counts, Truth, bounded, by_widest, without_names
from tests.simulator.worker_port import Write
from tests.simulator.worker_process import WorkerProcess

GAP = "events are lost: retention deleted them before they were read"
PROCESSES_MAX = 3
TIERS = (Tier(1, 20_000), Tier(2, 80_000), Tier(6, 600_000))
"""So short that windows become wider, and are dropped, within a schedule."""


class World:
    """Everything there is. Processes are kept while they live."""

    def __init__(self, flavour: Flavour, loop: SettleLoop) -> None:
        self.flavour, self.loop = flavour, loop
        self.broker = Broker()
        self.truth = Truth(self.broker)
        self.reference = Reference(self.broker)
        self.ingests: list[IngestProcess] = []
        self.workers: list[WorkerProcess] = []
        self.members = 0
        self.written_s: dict[tuple[int, int], float] = {}
        """When an input was written, by partition and offset."""
        self.log: list[MutableMapping[str, Any]] = []
        self._said = 0
        self._shown: dict[str, dict[Span, Counter[tuple[str, str]]]] = {}
        self._writers = 0

    @contextmanager
    def laws(self) -> Iterator[None]:
        """While the world turns: its clocks, its broker, its randomness."""
        clock = ModelTime(self.broker, 0)
        with ExitStack() as patches:
            patches.enter_context(mock.patch.object(take_over, "time", clock))
            patches.enter_context(mock.patch.object(take_over, "secrets", SimpleNamespace(token_hex=self._writer)))
            patches.enter_context(mock.patch.object(take_over, "read_routes", self._routes))
            patches.enter_context(mock.patch.object(take_over, "read_decisions", self._decisions))
            patches.enter_context(mock.patch.object(tiers, "TIERS", TIERS))
            if self.flavour.names_bounded:
                patches.enter_context(mock.patch.object(bounds, "SERVICES_MAX", 2))
            self.log = patches.enter_context(structlog.testing.capture_logs())
            yield

    def _writer(self, _bytes: int) -> str:
        self._writers += 1
        return f"writer{self._writers}"

    def _routes(self, _settings: Settings) -> dict[str, Route]:
        newest: dict[str, Route] = {}
        for record in self.broker.control.all():
            route = decode_route(record.value or b"")
            known = newest.get(route.service, route)
            newest[route.service] = max(known, route, key=lambda r: (r.epoch, r.issued_at_ms))
        return newest

    def _decisions(self, _settings: Settings) -> list[Audit]:
        return [decode_record(record.value or b"") for record in self.broker.decisions.all()]

    # Processes

    def new_ingest(self) -> None:
        if len(self.ingests) < PROCESSES_MAX:
            self.members += 1
            skew_ms = (0, 40_000, -90_000)[self.members % 3]
            self.ingests.append(IngestProcess(self.broker, self.members, self.input_written, skew_ms=skew_ms))

    def new_worker(self) -> None:
        if len(self.workers) < PROCESSES_MAX:
            self.members += 1
            self.workers.append(WorkerProcess(self.broker, self.members, self.loop, self.worker_wrote))

    def bury(self) -> None:
        """Forget the processes that have ended."""
        self.ingests = [one for one in self.ingests if one.ended is None]
        self.workers = [one for one in self.workers if one.ended is None]

    def newest_by_key(self) -> dict[str, Route]:
        """What a router that starts now finds on the compacted control topic."""
        return {route.service: route for route in (decode_route(r.value or b"") for r in self.broker.control.all())}

    def needed_from(self, number: int) -> int:
        """The first input of a partition that anybody may still want to read."""
        items = {r.key or b"": r.value for r in self.broker.changelog[number].all()}
        stored = restore(
            ((key, value) for key, value in items.items() if value is not None),
            partition=number,
            partitions=INPUT_PARTITIONS,
        )
        places = [process.port.positions[number] for process in self.workers if number in process.port.positions]
        return min([stored.read_from, *places])

    @property
    def clock_is_true(self) -> bool:
        """Whether the broker's clock was never set back, or has caught up."""
        return self.broker.clock_ms == self.broker.newest_ms

    def fences(self) -> dict[str, int]:
        """What a take-over must find on the control topic."""
        return {name: route.epoch for name, route in self._routes(Settings()).items()}

    # What is looked at when something is written

    def input_written(self, partition: int, record: Record) -> None:
        self.written_s[partition, record.offset] = self.broker.elapsed_s
        self.reference.written(partition, record)

    def worker_wrote(self, write: Write, record: Record) -> None:
        match write.topic:
            case "table":
                self._stored(write)
            case "canary.inputs":
                self.input_written(write.partition, record)
            case "canary.decisions":
                # A command that cannot be decoded is answered without the fold.
                if write.value not in self.reference.decided and b"is not valid" not in (write.value or b""):
                    raise Broken(f"a decision that the inputs do not explain: {write.value!r}")
            case "canary.control":
                if write.value not in self.reference.routed:
                    raise Broken(f"a route that the inputs do not explain: {write.value!r}")
                service, epoch = self.reference.routed[write.value]
                if epoch < write.fences.get(service, 0):
                    raise Broken(f"{service}: epoch {epoch} after {write.fences[service]} stood published")
            case _:
                pass

    def _stored(self, write: Write) -> None:
        assert write.key is not None
        key = decode_key(write.key)
        if write.value is None:
            return
        if key.kind is Kind.SERVICE:
            record = decode_value(write.value, ServiceRecord)
            if stored_form(record) != self.reference.state(key.entity, record.applied):
                raise Broken(f"{key.entity}: the state stored at {record.applied} is not the fold of the inputs")
        elif key.kind is Kind.WINDOW:
            window = opened(decode_value(write.value, StoredWindow))
            if counts_of(window.cells) != self.reference.window(key.entity, window.span, window.applied):
                raise Broken(f"{key.entity}: the window stored at {window.applied} is not the fold of the inputs")

    # After each step

    def check(self) -> None:
        """What must hold at any moment."""
        self._hear()
        for process in self.workers:
            if process.ended is not None:
                continue
            for owned in process.registry.owned.values():
                self._never_too_much(_shown(owned.partition), f"worker {process.member}")
                for window in windows_of(owned.partition):
                    self._never_less(window, owned.partition.writer)
        self.bury()

    def _never_less(self, window: Window, writer: str) -> None:
        """No window shrinks; a new one holds all that its parts held."""
        shown = self._shown.setdefault(f"{writer}|{window.service}", {})
        now = _by_arm(counts_of(window.cells))
        if window.span not in shown:
            parts = [span for span in shown if window.span.contains(span)]
            shown[window.span] = sum((shown.pop(span) for span in parts), Counter())
        if shown[window.span] - now:
            raise Broken(f"{window.service}: window {window.span} has shrunk")
        shown[window.span] = now

    def _never_too_much(self, found: Counts, who: str) -> None:
        if bounded(found) or self.flavour.names_bounded:
            more = without_names(by_widest(found)) - without_names(by_widest(self.truth.counts))
            if more:
                raise Broken(f"{who} counts too much: {dict(more)}")
        elif surplus := by_widest(found) - by_widest(self.truth.counts):
            raise Broken(f"{who} counts too much: {dict(surplus)}")

    def _hear(self) -> None:
        """What the processes have said of lost events since the last step."""
        for line in self.log[self._said :]:
            if line["event"] == GAP:
                source, expected, first = line["partition"], line["expected"], line["first_offset"]
                self.truth.lose(self.broker.topic_id, source, range(expected, first))
        self._said = len(self.log)


def _shown(partition: Partition) -> Counts:
    """What is counted in memory. While a recovery reads, windows may be ahead of the slices that went into them."""
    if any(window.applied >= partition.position.expected for window in windows_of(partition)):
        return counts_of(cell for window in windows_of(partition) for cell in window.cells)
    return counted(partition)


def _by_arm(counts: Counts) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (_, version, segment, _), n in counts.items():
        found[version, segment] += n
    return found
