"""How fast ingest is on packed records, and how small they are: `python -m bench.packed`.

The same events as of bench.ingest, packed by the client and read from a real Kafka into the same engine, by how many of
them share a record.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import uuid
from typing import Any

from bench.ingest import BATCH, RESULTS, broker, create, delete, ingest, produce, settings_of, timed
from serinus.event import Arguments, EventEncoder
from serinus.packer import Packer
from streams.ingest.heap import keep_freed_memory

EVENTS_PER_RECORD = (50, 200, 1000)
BATCH_EVENTS = 400_000


def events(count: int, *, units: bool = False) -> list[Arguments]:
    """Events of one service: two versions, four segments, a latency, one value, one label."""
    rng = random.Random(1)
    now_ms = time.time_ns() // 1_000_000
    return [
        (
            "v2" if rng.random() < 0.1 else "v1",
            now_ms + at % 100,
            "request",
            rng.random() < 0.01,
            round(rng.lognormvariate(5.2, 0.5), 2),
            {"tokens_out": float(rng.randrange(1, 900))},
            {"finish_reason": "stop" if rng.random() < 0.9 else "length"},
            rng.choice(("eu", "us", "asia", "africa")),
            f"user-{rng.getrandbits(32)}" if units else None,
            None,
            None,
        )
        for at in range(count)
    ]


def records(per_record: int, *, units: bool = False) -> list[bytes]:
    """Packs of four services."""
    found = []
    for service in ("chat", "code", "search", "image"):
        packer = Packer(service, EventEncoder(service).hash_unit)
        made = events(20 * per_record, units=units)
        found += [packer.pack(made[at : at + per_record]) for at in range(0, len(made), per_record)]
    random.Random(2).shuffle(found)
    return found


def measure(brokers: str, per_record: int, *, total: int, rounds: int, units: bool = False) -> dict[str, Any]:
    """Events/s of consume alone and of the full ingest, of a topic of packs."""
    keep_freed_memory()
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    create(brokers, topic)
    pool, count = records(per_record, units=units), total // per_record
    produce(brokers, topic, pool, count)
    settings = settings_of(brokers, topic)
    # As the running loop does: about so many bytes at a time.
    batch = max(10, min(BATCH, BATCH_EVENTS // per_record))
    rates: dict[str, list[float]] = {"consume": [], "ingest": []}
    cpu_ns: list[float] = []
    for _ in range(rounds):
        rates["consume"].append(per_record * timed(settings, count, lambda messages: None, batch=batch))
        take, sent = ingest(settings, brokers)
        begun_s = time.process_time()
        rates["ingest"].append(per_record * timed(settings, count, take, batch=batch))
        cpu_ns.append((time.process_time() - begun_s) * 1e9 / (count * per_record))
        sent.producer.flush(30)
    delete(brokers, topic)
    return {
        "events_per_record": per_record,
        "units": units,
        "bytes_per_event": round(sum(map(len, pool)) / len(pool) / per_record, 1),
        "events_per_s": {name: round(statistics.median(found)) for name, found in rates.items()},
        "best_events_per_s": {name: round(max(found)) for name, found in rates.items()},
        "cpu_ns_per_event": round(min(cpu_ns)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with broker(asked.brokers) as brokers:
        rows = [
            measure(brokers, per_record, total=asked.events, rounds=asked.rounds, units=units)
            for per_record, units in (*((each, False) for each in EVENTS_PER_RECORD), (200, True))
        ]
    result = {"events": asked.events, "rows": rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "packed.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
