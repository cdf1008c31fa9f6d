"""Fuzzing one topic: so many records, and what became of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import structlog

from tests.fuzz.readers import BATCH, TOPICS


class Fuzzing(NamedTuple):
    """What became of the records of one topic, and by how many MB the process was larger at the end than at a tenth."""

    became: dict[str, int]
    grown_mb: float


def fuzz(topic: str, records: int, seed: int) -> Fuzzing:
    """Let the code that reads ``topic`` read fuzzed records; raises what it raises, and when a record is lost."""
    draw = Random(f"{seed} {topic}")
    make_source, make_reader = TOPICS[topic]

    async def run() -> Fuzzing:
        reader, early_mb = make_reader(), 0.0
        for first in range(0, records, BATCH):
            await reader.take([source.record() for _ in range(min(BATCH, records - first))])
            if not early_mb and first >= records // 10:
                early_mb = resident_mb()
        return Fuzzing(await reader.check(), resident_mb() - early_mb)

    with quiet():
        source = make_source(draw)
        return asyncio.run(run())


@contextmanager
def quiet() -> Iterator[None]:
    """A line for each refused record would be all that is seen."""
    processors = structlog.get_config()["processors"]
    before = list(processors)
    # In place: loggers that are bound already hold this list.
    processors[:] = [_dropped]
    try:
        yield
    finally:
        processors[:] = before


def _dropped(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


def resident_mb() -> float:
    """What this process has in memory."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
