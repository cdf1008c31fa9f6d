"""Does it flow? Listens to ``canary.inputs`` for some seconds: ticks, reports, and what the broker's clock says."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import Message

from schemas.inputs import Tick, decode_input
from schemas.report import Report
from streams.doctor.finding import Finding, fine, problem, warning
from streams.kafka_reader import Reader, bounds
from streams.settings import Settings
from streams.topics import EVENTS, INPUTS

ABOUT = "flow"
LISTEN_S = 4.0
"""Ticks and reports of an idle pipeline come every second."""

BEHIND_MS = 5_000
SKEW_MS_MAX = 2_000
"""A router allows for 5 s between its clock and the worker's; the broker's stands between them."""


@dataclass(slots=True)
class Heard:
    """What came while listening."""

    ticks: dict[int, str] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)
    skews_ms: list[int] = field(default_factory=list)
    undecodable: int = 0

    def hear(self, message: Message, now_ms: int) -> None:
        """One record of ``canary.inputs`` that was appended just now."""
        self.skews_ms.append(now_ms - message.timestamp()[1])
        try:
            record = decode_input(message.value() or b"")
        except msgspec.DecodeError:
            self.undecodable += 1
            return
        if isinstance(record, Tick):
            self.ticks[message.partition() or 0] = record.writer
        elif isinstance(record, Report):
            before = self.reports.get(record.source)
            if before is None or before.through_offset <= record.through_offset:
                self.reports[record.source] = record


def examine_flow(settings: Settings) -> list[Finding]:
    """Partitions without a worker, source partitions without an ingest or behind, clocks that differ."""
    inputs = settings.topic(INPUTS)
    starts = {number: end for number, (_, end) in bounds(settings, inputs).items()}
    heard = Heard()
    with Reader(settings, inputs, starts) as reader:
        until = time.monotonic() + LISTEN_S
        while (left_s := until - time.monotonic()) > 0:
            for message in reader.poll(min(left_s, 0.2)):
                heard.hear(message, time.time_ns() // 1_000_000)
    ends = {number: end for number, (_, end) in bounds(settings, settings.topic(EVENTS)).items()}
    return [*_worker(heard, inputs, sorted(starts)), *_ingest(heard, settings.topic(EVENTS), ends), *_clock(heard)]


def _worker(heard: Heard, inputs: str, partitions: list[int]) -> list[Finding]:
    findings = []
    if missing := [number for number in partitions if number not in heard.ticks]:
        found = f"{inputs}: no tick in {LISTEN_S:.0f} s on partition(s) {', '.join(map(str, missing))}"
        remedy = "no worker looks after them: start `serinus worker`, or see its log and /readyz"
        findings.append(problem(ABOUT, f"{found}; their releases stand still and leases run out", remedy))
    else:
        writers = len(set(heard.ticks.values()))
        findings.append(fine(ABOUT, f"{inputs}: {writers} worker(s) look after {len(partitions)} partitions"))
    if heard.undecodable:
        found = f"{inputs}: {heard.undecodable} record(s) that are no input of the worker"
        findings.append(problem(ABOUT, found, "find who writes there; only ingest and worker may"))
    return findings


def _ingest(heard: Heard, events: str, ends: dict[int, int]) -> list[Finding]:
    findings = []
    used = {number: end for number, end in ends.items() if end > 0}
    if silent := sorted(number for number in used if number not in heard.reports):
        found = f"{events}: no report in {LISTEN_S:.0f} s of partition(s) {', '.join(map(str, silent))}"
        findings.append(problem(ABOUT, found, "no ingest reads them: start `serinus ingest`, or see its log"))
    newest_ms = max((report.newest_ms for report in heard.reports.values()), default=0)
    for number, report in sorted(heard.reports.items()):
        waiting = used.get(number, 0) - 1 - report.through_offset
        if waiting > 0 and newest_ms - report.newest_ms > BEHIND_MS:
            behind_s = (newest_ms - report.newest_ms) / 1000
            found = f"{events}: partition {number} is {waiting:,} records and {behind_s:.0f} s behind the others"
            findings.append(
                warning(ABOUT, found, "see the CPU and the log of the ingest that owns it; add another one")
            )
    if not used:
        findings.append(warning(ABOUT, f"{events}: no event was ever written", "let a service emit events"))
    return findings or [fine(ABOUT, f"{events}: all {len(used)} partitions with events are read")]


def _clock(heard: Heard) -> list[Finding]:
    if not heard.skews_ms:
        return []
    # The quickest record tells the difference of the clocks with the least of the way in it.
    skew_ms = min(heard.skews_ms, key=abs)
    if abs(skew_ms) <= SKEW_MS_MAX:
        return [fine("clocks", f"this machine's clock and the broker's differ by {abs(skew_ms)} ms or less")]
    side = "ahead of" if skew_ms > 0 else "behind"
    found = f"this machine's clock is {abs(skew_ms) / 1000:.1f} s {side} the broker's"
    return [problem("clocks", found, "run a time service (NTP) on both: leases and event times depend on it")]
