"""Ingest under fuzzed events: its real engine, whose reports a worker reads."""

from __future__ import annotations

from collections import Counter

import numpy as np

from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest.dead_letters import REASONS
from streams.ingest.decoder import Decoded, RecordDecoder
from streams.ingest.engine import Engine
from streams.ingest.metrics import IngestMetrics
from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings
from tests.fuzz.ports import Written
from tests.fuzz.worker_reader import WorkerReader
from tests.streams.worker.inputs_log import START_MS

_RECORDS_A_MS = 4
_FLUSH_EVERY = 4


class _Counted(RecordDecoder):
    """Counts records that were used, and the requests in them."""

    def __init__(self) -> None:
        super().__init__()
        self.used = self.requests = self.errors = 0

    def build(self, records: Records) -> Decoded:
        columns, refused = super().build(records)
        self.used += np.unique(columns.row).size
        self.requests += int(columns.request.sum())
        self.errors += int(columns.error.sum())
        return columns, refused


class IngestReader:
    """Counts what became of each record of ``inference.events``; is the engine's outbox."""

    def __init__(self) -> None:
        self.written, self.worker = Written(), WorkerReader()
        self._decoder = _Counted()
        self._engine = Engine(IngestSettings(kafka={}, input_partitions=1), "fuzz", self, IngestMetrics())
        self._engine._decoder = self._decoder
        self._offset = self._batches = 0
        self._newest: tuple[int, bytes] | None = None
        self._final: list[bytes] = []
        self._counted: Counter[str] = Counter()

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None:
        self.written.add(topic, key, value)
        self._engine.acknowledged(number)
        if partition is not None:
            report = decode_input(value)
            assert isinstance(report, Report)
            if self._newest is not None and report.slice_no > self._newest[0]:
                self._close(self._newest[1])
            self._newest = report.slice_no, value

    def _close(self, raw: bytes) -> None:
        """A slice's last report: what is counted in the end, and all that the worker needs."""
        self._final.append(raw)
        report = decode_input(raw)
        assert isinstance(report, Report)
        self._counted["requests"] += sum(cell.n for cell in report.cells)
        self._counted["errors"] += sum(cell.errors for cell in report.cells)

    async def take(self, raws: list[bytes | None]) -> None:
        """A batch."""
        offsets = np.arange(self._offset, self._offset + len(raws))
        log_ms = START_MS + offsets // _RECORDS_A_MS
        self._engine.take(Records(raws, np.zeros(len(raws), dtype=np.int64), offsets, log_ms))
        self._offset += len(raws)
        self._batches += 1
        if self._batches % _FLUSH_EVERY == 0:
            self._engine.flush(now_s=self._offset / 1000, now_ms=0)
        for raw in self._final:
            await self.worker.input(raw)
        self._final.clear()

    async def check(self) -> dict[str, int]:
        """Every record is accounted for, and every request is in the last report of its slice, and in the worker."""
        self._engine.flush(now_s=1e9, now_ms=0, final=True)
        if self._newest is not None:
            self._close(self._newest[1])
            self._newest = None
        refused = self.written.refused
        assert refused.keys() <= REASONS
        assert self._decoder.used + refused.total() == self._offset
        assert self._counted["requests"] == self._decoder.requests
        assert self._counted["errors"] == self._decoder.errors
        seen = self.worker.check()
        assert not self.worker.partition.stuck, self.worker.partition.stuck
        return {
            "used": self._decoder.used,
            "requests in them": self._decoder.requests,
            **{f"refused: {reason}": count for reason, count in sorted(refused.items())},
            "reports that the worker has read": seen["report"],
        }
