"""What the worker's own work costs, without Kafka and Faust: reports in, windows, evidence and checkpoints out.

Ingest's aggregator makes the reports of a live load; each partition's agent folds them and stores its checkpoints into
memory, with a clock that moves with the log. CPU time of one process: other load on the machine matters little.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import pairwise

import numpy as np

from schemas.command import Command, Verb
from schemas.event import InferenceEvent, encode_event
from schemas.inputs import Forwarded, Tick, encode_input
from schemas.plan import parse_plan
from schemas.report import SLICE_MS
from streams.ingest.aggregate import Aggregator
from streams.ingest.records import Records
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.worker.checkpoint import Checkpointer
from streams.worker.faust_app import Arrived
from streams.worker.inputs import InputsAgent
from streams.worker.partition import Partition
from streams.worker.recorder import Recorder
from streams.worker.registry import Owned, Registry
from streams.worker.restore import Restored
from tests.e2e.plans import stages
from tests.streams.worker.memory_broker import MemoryBroker, end_test

SOURCES = 4
INPUTS = 4
START_MS = 1_763_632_800_000
SEGMENTS = ("eu", "us", "ap", "af")
Log = list[list[tuple[int, bytes]]]
"""By input partition: log time and record, in order."""


def reports(services: int, *, rate_per_s: float, seconds: int, flushes: int = 1) -> Log:
    """The inputs of a live load: each slice of each source partition, as often as ingest repeats its prefix, and ticks.

    Parameters
    ----------
    rate_per_s : events a second of each service; a tenth of them the canary's.
    flushes : reports of a slice before its last one.
    """
    rng = random.Random(1)
    aggregator = Aggregator("bench", input_partitions=INPUTS)
    log: Log = [[] for _ in range(INPUTS)]
    offset = 0

    def event(ts_ms: int) -> bytes:
        version = "v2" if rng.random() < 0.1 else "v1"
        return encode_event(
            InferenceEvent(
                service=f"service-{rng.randrange(services)}",
                version=version,
                ts_ms=ts_ms,
                error=rng.random() < 0.01,
                latency_ms=round(rng.lognormvariate(5.2, 0.5), 2),
                values={"tokens_out": float(rng.randrange(1, 900))},
                labels={"finish_reason": "stop" if rng.random() < 0.9 else "length"},
                segment=rng.choice(SEGMENTS),
            )
        )

    per_slice = round(services * rate_per_s * SLICE_MS / 1000)
    pool = [event(0) for _ in range(8 * per_slice)]
    for at in range(seconds * 1000 // SLICE_MS):
        now_ms = START_MS + at * SLICE_MS
        raw = [one.replace(b'"ts_ms":0', b'"ts_ms":%d' % now_ms) for one in rng.choices(pool, k=per_slice)]
        n = np.arange(per_slice, dtype=np.int64)
        closed, refused = aggregator.add(
            Records(raw=raw, source=n % SOURCES, offset=offset + n, log_ms=np.full(per_slice, now_ms, dtype=np.int64))
        )
        assert not refused, refused[0]
        offset += per_slice
        for slices in closed:
            for number, report in enumerate(slices):
                log[number] += [(now_ms, encode_input(report))] * (1 + flushes)
        if at % 4 == 0:
            for one in log:
                one.append((now_ms, encode_input(Tick("bench"))))
    return log


def start_of(name: str, metrics: str) -> bytes:
    """The input that starts a release of a service."""
    plan = parse_plan(stages(name, ("10%", "24h"), metrics=metrics))
    return encode_input(
        Forwarded(Command(f"start-{name}", name, Verb.START, "bench", "to measure", START_MS, plan=plan))
    )


class Worker:
    """All partitions of the inputs behind one clock."""

    def __init__(self, log: Log) -> None:
        self.now_s, self.log, self.registry = 0.0, log, Registry(INPUTS)
        broker = MemoryBroker()
        owned = {}
        for number in range(INPUTS):
            partition = Partition(
                number, partitions=INPUTS, writer="bench", restored=Restored(), routed={}, caught_up_at=0
            )
            owned[number] = Owned(partition, Checkpointer(partition, broker, lambda: self.now_s))
        self.registry.install(owned, assignment=0)
        self.agent = InputsAgent(Settings(), self.registry, broker, Recorder(), end_test, lambda: self.now_s)

    async def read(self) -> float:
        """Read everything in the order of time; CPU time of the second half, s."""
        order = sorted(
            (log_ms, number, at) for number, one in enumerate(self.log) for at, (log_ms, _) in enumerate(one)
        )
        half = len(order) // 2
        begun_s = 0.0
        for index, (log_ms, number, at) in enumerate(order):
            if index == half:
                begun_s = time.process_time()
            self.now_s = (log_ms - START_MS) / 1000
            await self.agent.handle(Arrived(number, at, log_ms, None, self.log[number][at][1]))
        return time.process_time() - begun_s


def fold_cost(services: int, releases: int, *, rate_per_s: float, seconds: int, metrics: str) -> dict[str, float]:
    """CPU time of an input, and the share of a core at live pace."""
    log = reports(services, rate_per_s=rate_per_s, seconds=seconds)
    for i in range(releases):
        name = f"service-{i}"
        where = log[partition_of(name, INPUTS)]
        at = min(40, len(where) - 1)
        where.insert(at, (where[at][0], start_of(name, metrics)))
    assert all(a[0] <= b[0] for one in log for a, b in pairwise(one))
    took_s = asyncio.run(Worker(log).read())
    inputs = sum(map(len, log))
    return {
        "inputs_per_s": round(inputs / seconds, 1),
        "cpu_ms_per_input": round(1000 * took_s / (inputs / 2), 3),
        "share_of_a_core": round(took_s / (seconds / 2), 3),
    }
