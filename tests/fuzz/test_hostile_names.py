"""A producer that invents a million names: memory stays bounded, it counts as `other`, and honest services go on."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest

from schemas.event import LABELS_MAX, METRICS_MAX, SEGMENTS_MAX, VERSIONS_MAX
from schemas.inputs import encode_input
from streams.http.windows import entries
from streams.http.worker_view import WorkerView
from streams.ingest.aggregate import Aggregator
from streams.ingest.bounds import LABEL_NAMES_MAX, SERVICES_MAX
from streams.ingest.records import Records
from streams.settings import Settings
from streams.worker import partition
from tests.fuzz.fuzz import quiet, resident_mb
from tests.fuzz.worker_reader import WorkerReader
from tests.streams.worker.inputs_log import START_MS

EVENTS = int(os.environ.get("HOSTILE_EVENTS", "4000"))
"""`make fuzz` asks for a million."""
HONEST = ("chat", "code")
HONEST_EVERY = 20
BATCH = 500
RECORDS_A_MS = 8
GROWN_MB_MAX = 150.0
"""Ten slices of the largest reports that there can be."""


def invented(number: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """One event by each kind of name, all of them new."""
    name = f"made-up-{number}"
    event: dict[str, Any] = {"service": "flooded", "version": "v1", "ts_ms": START_MS, "latency_ms": 5.0}
    return {
        "services": lambda: event | {"service": name},
        "versions": lambda: event | {"version": name},
        "segments": lambda: event | {"segment": name},
        "metrics": lambda: event | {"values": {name: 1.0}},
        "labels": lambda: event | {"labels": {name: name}},
        "label values": lambda: event | {"labels": {"finish": name}},
        "units": lambda: event | {"unit": name},
        "everything": lambda: {
            **event,
            **{"service": name, "version": name, "segment": name, "unit": name},
            **{"values": {name: 1.0}, "labels": {name: name}},
        },
    }


def honest(draw: Random, service: str) -> dict[str, Any]:
    return {
        **{"service": service, "version": draw.choice(("v1", "v2")), "segment": "eu", "ts_ms": START_MS},
        **{"latency_ms": draw.lognormvariate(3, 1), "error": draw.random() < 0.1, "labels": {"finish": "stop"}},
    }


class Flood:
    """Ingest of two source partitions and a worker. On partition 0 all are honest, on partition 1 one floods."""

    def __init__(self, kind: str, services: frozenset[str]) -> None:
        self.kind, self.draw, self.worker = kind, Random(7), WorkerReader()
        self.ingests = [Aggregator("topic", services=services) for _ in range(2)]
        self.sent: Counter[tuple[str, str]] = Counter()
        self.sent_beside: Counter[tuple[str, str]] = Counter()
        self.offset, self.events, self.names = 0, 0, Counter[str]()
        self.reported = self.folded = 0

    async def run(self, events: int) -> float:
        """Let so many events come; by how many MB the process has grown since a tenth of them."""
        early_mb = 0.0
        for first in range(0, events, BATCH):
            await self.batch(range(first, min(events, first + BATCH)))
            if not early_mb and first >= events // 10:
                early_mb = resident_mb()
        for source, ingest in enumerate(self.ingests):
            for reports in ingest.flush():
                await self._read(source, reports)
        return resident_mb() - early_mb

    async def batch(self, numbers: range) -> None:
        alone, beside = list[bytes](), list[bytes]()
        for number in numbers:
            if number % HONEST_EVERY == 0:
                service = HONEST[number // HONEST_EVERY % 2]
                one, other = honest(self.draw, service), honest(self.draw, service)
                self.sent[service, str(one["version"])] += 1
                self.sent_beside[service, str(other["version"])] += 1
                alone.append(msgspec.json.encode(one))
                beside.append(msgspec.json.encode(other))
            beside.append(msgspec.json.encode(invented(number)[self.kind]()))
        self.events += len(alone) + len(beside)
        for source, raws in enumerate((alone, beside)):
            log_ms = [START_MS + self.offset // RECORDS_A_MS] * len(raws)
            first = self.offset
            records = Records.of(list(raws), log_ms, source=source, first_offset=first)
            closed, refused = self.ingests[source].add(records)
            assert not refused
            for reports in closed:
                await self._read(source, reports)
        self.offset += BATCH + BATCH // HONEST_EVERY

    async def _read(self, source: int, reports: list[Any]) -> None:
        for report in reports:
            raw = encode_input(msgspec.structs.replace(report, source=source))
            self.reported += sum(cell.n for cell in report.cells)
            self.folded += sum(report.folded.values())
            for what, count in distinct(report.cells).items():
                self.names[what] = max(self.names[what], count)
            await self.worker.input(raw)

    def counted(self) -> Counter[tuple[str, str]]:
        """Requests in the reports of slices that the worker has, by service and version."""
        found: Counter[tuple[str, str]] = Counter()
        for windows in self.worker.partition.windows.values():
            for cell in (cell for span in windows.held for cell in windows.window(span).cells):
                found[cell.service, cell.version] += cell.n
        for service in self.worker.partition.services.values():
            for held in service.open.values():
                for cell in held.cells:
                    found[cell.service, cell.version] += cell.n
        return found


def distinct(cells: list[Any]) -> dict[str, int]:
    """The most names of each kind in one slice: services, and per service the others."""
    by_service: dict[str, list[Any]] = {}
    for cell in cells:
        by_service.setdefault(cell.service, []).append(cell)
    names = {"services": len(by_service)}
    for own in by_service.values():
        labels = [(label.name, value) for cell in own for label in cell.labels for value in label.counts]
        values = Counter(name for name, _ in set(labels))
        for what, count in {
            "versions": len({cell.version for cell in own}),
            "segments": len({cell.segment for cell in own}),
            "metrics": len({metric.name for cell in own for metric in cell.metrics}),
            "labels": len(values),
            "label values": max(values.values(), default=0),
        }.items():
            names[what] = max(names.get(what, 0), count)
    return names


BOUNDS = {
    **{"services": SERVICES_MAX + 1, "versions": VERSIONS_MAX + 1, "segments": SEGMENTS_MAX + 2},
    **{"metrics": METRICS_MAX + 2, "labels": LABEL_NAMES_MAX + 1, "label values": LABELS_MAX + 1},
}
"""Each with `other`; the empty segment and the latency have a place of their own."""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "listed"), [*((kind, False) for kind in invented(0)), ("everything", True)])
def test_a_flood_of_names(kind: str, listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is counted once, in bounds, and honest services exactly by their names.

    Where names of services are flooded, that holds on other partitions of the source; on all when they are listed.
    """
    monkeypatch.setattr(partition, "SERVICES_MAX", 60)  # every input is folded for each of them
    with quiet():
        flood = Flood(kind, frozenset(HONEST if listed else ()))
        grown_mb = asyncio.run(flood.run(EVENTS))
        found = flood.counted()
        flood.worker.check()
        text = generate_latest(flood.worker.recorder.registry).decode()
    assert flood.names.keys() <= BOUNDS.keys()
    assert {what: (count, BOUNDS[what]) for what, count in flood.names.items() if count > BOUNDS[what]} == {}
    assert grown_mb < GROWN_MB_MAX
    assert len(flood.worker.partition.services) <= 60 + 1
    view = WorkerView(Settings(), flood.worker.registry, flood.worker.port, flood.worker.recorder)
    assert len(entries(view)) == len(flood.worker.partition.services)
    # Services and the versions of their plans: no invented version, segment, metric, label or unit is a label.
    assert text.count("made-up-") <= 2 * 60, text[:3000]
    for service in HONEST:
        for version in ("v1", "v2"):
            alone, both = flood.sent[service, version], (flood.sent + flood.sent_beside)[service, version]
            if kind in {"services", "everything"} and not listed:
                assert alone <= found[service, version] <= both
            else:
                assert found[service, version] == both
    assert flood.reported == flood.events
    assert (flood.folded == 0) == (kind == "units")
