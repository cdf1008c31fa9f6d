"""Each topic that some process reads, with the code that reads it: all of them take every record and say what became
of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import msgspec

from schemas.basis import decode_basis
from schemas.decision import decode_record
from schemas.route import decode_route
from serinus import Router
from streams.hooks.metrics import HookMetrics
from streams.hooks.reading import Reading
from streams.ingest.bases import BASES_MAX, Bases
from streams.settings import Settings
from streams.worker.restore import restore
from tests.fuzz.ingest_reader import IngestReader
from tests.fuzz.sources import HOOK_FORMATS, Source, bases, commands, decisions, events, inputs, packs, routes, stored
from tests.fuzz.worker_reader import WorkerReader

BATCH = 200


class Fuzzed(Protocol):
    """One topic under fuzz."""

    async def take(self, raws: list[bytes | None]) -> None:
        """Read records, in order."""

    async def check(self) -> dict[str, int]:
        """Raise when a record is not accounted for, or something is without bound; what became of how many."""


class Inputs:
    """``canary.inputs``, read by the worker."""

    def __init__(self) -> None:
        self._worker = WorkerReader()

    async def take(self, raws: list[bytes | None]) -> None:
        for raw in raws:
            await self._worker.input(raw)

    async def check(self) -> dict[str, int]:
        return self._worker.check()


class Commands:
    """``canary.commands``, read by the worker, which forwards what is sound into its inputs and folds it."""

    def __init__(self) -> None:
        self._worker = WorkerReader()

    async def take(self, raws: list[bytes | None]) -> None:
        for raw in raws:
            await self._worker.command(raw, key=raw)

    async def check(self) -> dict[str, int]:
        found = self._worker.check()
        assert not self._worker.partition.stuck, self._worker.partition.stuck
        return found


class Routes:
    """``canary.control``, read by every router, and by the worker when it takes over, the doctor and the CLI."""

    def __init__(self) -> None:
        self._router = Router(service="chat", fallback="v1")
        self._seen = 0
        self._read: Counter[str] = Counter()

    async def take(self, raws: list[bytes | None]) -> None:
        for raw in raws:
            before = self._router.state().epoch
            outcome = self._router.apply(raw)
            self._read[outcome.value] += 1
            if outcome == "invalid":
                assert self._router.state().epoch == before
            assert self._router.choose("user") is not None
            _decoded(decode_route, raw, self._read)
        self._seen += len(raws)

    async def check(self) -> dict[str, int]:
        state = self._router.state()
        assert sum(state.records.values()) == self._seen
        assert state.choose_failures == 0
        return dict(self._read)


class BasesTopic:
    """``canary.bases``, read by ingest."""

    def __init__(self) -> None:
        self._bases = Bases()
        self._seen: Counter[str] = Counter()

    async def take(self, raws: list[bytes | None]) -> None:
        for at, raw in enumerate(raws):
            self._bases.take(f"s{at}", raw)
            assert len(self._bases.by_service) <= BASES_MAX
            _decoded(decode_basis, raw, self._seen)

    async def check(self) -> dict[str, int]:
        return dict(self._seen)


class Decisions:
    """``canary.decisions``, read back by the worker for people, and by the CLI."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    async def take(self, raws: list[bytes | None]) -> None:
        for raw in raws:
            _decoded(decode_record, raw, self._seen)

    async def check(self) -> dict[str, int]:
        return dict(self._seen)


class Hooks:
    """``canary.decisions``, followed by whoever carries hooks out, where everything is allowed."""

    def __init__(self) -> None:
        named: dict[str, Any] = {"hooks_webhooks": {"chat": "http://c/"}, "hooks_commands": {"page": ["/bin/page"]}}
        allow = "https://hooks.example,http://[::1]:9093,http://h"
        self._metrics = HookMetrics()
        self._reading = Reading(Settings(hooks_allow=allow, **named), self._metrics)
        self._made: Counter[str] = Counter()

    async def take(self, raws: list[bytes | None]) -> None:
        for at, raw in enumerate(raws):
            for one in self._reading.deliveries(raw or b"", (0, at)):
                assert one.key.isascii() and one.key.isprintable()
                if one.format == "decision":
                    assert one.body == raw
                else:
                    msgspec.json.decode(one.body)
                self._made[one.format] += 1

    async def check(self) -> dict[str, int]:
        assert set(self._made) == set(HOOK_FORMATS)
        return dict(self._made)


class Table:
    """The worker's changelog, read by whoever takes a partition over."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    async def take(self, raws: list[bytes | None]) -> None:
        items = [(b"%s|w|%d|s%d" % (_KINDS[at % 3], at, at), raw) for at, raw in enumerate(raws) if raw is not None]
        items += [(raw, b"\x82\xa6format\x01\xa7applied\x01") for raw in raws[:20] if raw is not None]
        found = restore(items, partition=0, partitions=1)
        read = len(found.services) + len(found.windows) + (found.cursor is not None)
        self._seen["read"] += read
        self._seen["said to be unreadable"] += len(found.unreadable)
        self._seen["sent"] += len(items)

    async def check(self) -> dict[str, int]:
        return dict(self._seen)


_KINDS = (b"service", b"window", b"cursor")


def _decoded(decode: Callable[[bytes], object], raw: bytes | None, seen: Counter[str]) -> None:
    """What every other reader does: pass over what is not a record."""
    try:
        decode(raw or b"")
    except msgspec.DecodeError:
        seen["passed over"] += 1
    else:
        seen["decoded"] += 1


TOPICS: dict[str, tuple[Callable[[Random], Source], Callable[[], Fuzzed]]] = {
    "inference.events": (events, IngestReader),
    "inference.events, packed": (packs, IngestReader),
    "canary.inputs": (inputs, Inputs),
    "canary.commands": (commands, Commands),
    "canary.control": (routes, Routes),
    "canary.bases": (bases, BasesTopic),
    "canary.decisions": (decisions, Decisions),
    "canary.decisions, hooks": (decisions, Hooks),
    "the worker's table": (stored, Table),
}
