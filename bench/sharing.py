"""How one ingest process and two share the work: `python -m bench.sharing`.

One ingest process, or two of one group, take a topic of four partitions on a real Kafka. They are stopped while it is
filled, and then read all of it and send their reports. Every event is looked for in the reports, and how many of them
each process read. Broker and processes share the machine: where it has two cores, two processes cannot be twice as
fast, but no event may cost more.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.ingest import PARTITIONS, RESULTS, ROOT, broker, create, delete, events, produce, settings_of
from bench.packed import records
from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest.heap import keep_freed_memory
from streams.ingest.loop import IngestLoop
from streams.ingest.metrics import IngestMetrics
from streams.ingest.settings import IngestSettings
from streams.ingest.source import split_errors
from streams.ingest.topic_identity import topic_identity
from streams.probes import Liveness
from streams.supervisor import stop_on_signals

PER_RECORD = 200
_WITHIN_S = 300.0
_SESSION_MS = 30_000
"""Longer than filling takes; heartbeats, by which a member learns of another, are six in it."""


def process(brokers: str, topic: str, group: str) -> dict[str, float]:
    """One ingest process, until it is told to stop: how many events it counted, and its CPU seconds."""
    keep_freed_memory()
    stop = threading.Event()
    stop_on_signals(stop)
    settings, metrics = _settings(brokers, topic, group), IngestMetrics()
    loop = IngestLoop(settings, topic_identity(settings), metrics, Liveness())
    begun_s = time.process_time()
    try:
        loop.run(stop)
    finally:
        loop.close()
    read = metrics.registry.get_sample_value("serinus_events_total") or 0.0
    return {"events": read, "cpu_s": time.process_time() - begun_s}


def shared(brokers: str, processes: int, pool: list[bytes], per_record: int, total: int) -> dict[str, Any]:
    """Let so many processes read a topic of so many events."""
    topic, group = f"bench-{uuid.uuid4().hex[:8]}", f"sharing-{uuid.uuid4().hex[:8]}"
    create(brokers, topic)
    command = [sys.executable, "-m", "bench.sharing", "--brokers", brokers, "--topic", topic, "--group", group]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(processes)]
    watch = _Reports(brokers, topic, total)
    try:
        _wait_until_divided(brokers, group, processes)
        for one in running:
            one.send_signal(signal.SIGSTOP)
        produce(brokers, topic, pool, total // per_record)
        for one in running:
            one.send_signal(signal.SIGCONT)
        seconds = watch.until_all()
    finally:
        for one in running:
            one.send_signal(signal.SIGCONT)
            one.terminate()
        said = [one.communicate(timeout=60)[0] for one in running]
        watch.close()
    delete(brokers, topic)
    found = [json.loads(one.splitlines()[-1]) for one in said]
    read = [round(one["events"]) for one in found]
    return {
        "processes": processes,
        "events_per_s": round(total / seconds),
        "cpu_ns_per_event": round(sum(one["cpu_s"] for one in found) * 1e9 / sum(read)),
        "counted": watch.counted(),
        "shares": [round(one / sum(read), 3) for one in read],
    }


def _wait_until_divided(brokers: str, group: str, processes: int) -> None:
    admin, give_up_s = AdminClient({"bootstrap.servers": brokers}), time.monotonic() + _WITHIN_S
    parts: list[int] = []
    while parts != [PARTITIONS // processes] * processes:
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"the members of the group have {parts} partitions after {_WITHIN_S:.0f} s")
        time.sleep(0.5)
        try:
            found = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
        except KafkaException:  # a broker that has just begun does not know its groups yet
            continue
        parts = [len(one.assignment.topic_partitions) for one in found.members]


class _Reports:
    """Follows the reports that are sent; the longest prefix of each slice counts."""

    def __init__(self, brokers: str, topic: str, total: int) -> None:
        self._total = total
        self._longest: dict[tuple[int, int, int], Report] = {}
        self._consumer: Any = Consumer({"bootstrap.servers": brokers, "group.id": str(uuid.uuid4())})
        self._consumer.assign([TopicPartition(f"{topic}.inputs", at, 0) for at in range(PARTITIONS)])

    def until_all(self) -> float:
        """Seconds from the first report until all events are counted."""
        begun_s, give_up_s = 0.0, time.monotonic() + _WITHIN_S
        while self.counted() < self._total:
            messages, _ = split_errors(self._consumer.consume(1000, 0.1))
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{self.counted()} of {self._total} events after {_WITHIN_S:.0f} s")
            begun_s = begun_s or (time.monotonic() if messages else 0.0)
            for message in messages:
                report = decode_input(message.value())
                if isinstance(report, Report):
                    key = (message.partition(), report.source, report.slice_no)
                    known = self._longest.get(key)
                    if known is None or known.through_offset <= report.through_offset:
                        self._longest[key] = report
        return time.monotonic() - begun_s

    def counted(self) -> int:
        return sum(cell.n for report in self._longest.values() for cell in report.cells)

    def close(self) -> None:
        self._consumer.close()


def _settings(brokers: str, topic: str, group: str) -> IngestSettings:
    """Of a process that stays in its group while it is stopped."""
    found = settings_of(brokers, topic)
    return replace(found, group_id=group, bases_topic=f"{topic}.bases", session_timeout_ms=_SESSION_MS)


def measure(brokers: str, *, total: int, packed: bool, rounds: int = 1) -> list[dict[str, Any]]:
    """One process and two, in turn; of each the round with the least CPU."""
    pool, per_record = (records(PER_RECORD), PER_RECORD) if packed else (events(20_000), 1)
    found = [shared(brokers, processes, pool, per_record, total) for _ in range(rounds) for processes in (1, 2)]
    return [{"packed": packed, **min(found[at::2], key=lambda one: int(one["cpu_ns_per_event"]))} for at in range(2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers")
    parser.add_argument("--events", type=int, default=1_000_000, help="in JSON; ten times as many in packs of 200")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    parser.add_argument("--group", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.topic:
        print(json.dumps(process(asked.brokers, asked.topic, asked.group)))
        return
    with broker(asked.brokers) as brokers:
        rows = [
            row
            for packed, total in ((False, asked.events), (True, 10 * asked.events))
            for row in measure(brokers, total=total, packed=packed, rounds=asked.rounds)
        ]
    result = {"events": asked.events, "rows": rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "sharing.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
