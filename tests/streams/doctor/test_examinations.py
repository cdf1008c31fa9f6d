"""What the doctor makes of what it hears: each kind of trouble has a finding with a remedy, and health has none."""

from __future__ import annotations

import socket

import pytest

from schemas.inputs import Input, Tick, encode_input
from schemas.report import Report
from streams.doctor import flow
from streams.doctor.cluster import _partitions
from streams.doctor.examination import examine
from streams.doctor.finding import Finding, Level
from streams.doctor.flow import Heard
from streams.settings import Settings

NOW_MS = 1_700_000_000_000


class Record:
    """One record of `canary.inputs` as the client shows it."""

    def __init__(self, body: Input | bytes, *, partition: int = 0, at_ms: int = NOW_MS) -> None:
        self._value = body if isinstance(body, bytes) else encode_input(body)
        self._partition, self._at_ms = partition, at_ms

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return self._partition

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at_ms


def heard(*records: Record, now_ms: int = NOW_MS + 5) -> Heard:
    found = Heard()
    for record in records:
        found.hear(record, now_ms)  # type: ignore[arg-type] # a stand-in for the client's own class, which cannot be made
    return found


def report(source: int, through: int, newest_ms: int = NOW_MS) -> Report:
    return Report("t", source, 1, 0, through, newest_ms=newest_ms)


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def test_a_pipeline_that_flows_is_fine() -> None:
    """Ticks on all partitions, reports of all used source partitions, clocks alike."""
    found = heard(Record(Tick("w")), Record(Tick("w"), partition=1), Record(report(0, 9)), Record(report(1, 3)))
    findings = [
        *flow._worker(found, "in", [0, 1]),
        *flow._ingest(found, "ev", {0: 10, 1: 4, 2: 0}),
        *flow._clock(found),
    ]
    assert levels(findings) == [Level.FINE] * 3


def test_a_partition_without_a_worker_is_named() -> None:
    """No tick came on it."""
    [finding] = flow._worker(heard(Record(Tick("w"))), "in", [0, 1, 2])
    assert finding.level is Level.PROBLEM and "partition(s) 1, 2" in finding.what and finding.remedy


def test_a_source_partition_that_nobody_reads_is_named_and_an_unused_one_is_not() -> None:
    """Partition 1 has records and no report; partition 2 never had any."""
    [finding] = flow._ingest(heard(Record(report(0, 9))), "ev", {0: 10, 1: 4, 2: 0})
    assert finding.level is Level.PROBLEM and "partition(s) 1;" not in finding.what and "partition(s) 1" in finding.what


def test_a_source_partition_that_is_behind_says_by_how_much() -> None:
    """Records wait, and its newest one is older than that of the others."""
    found = heard(Record(report(0, 9)), Record(report(1, 100, NOW_MS - 60_000)))
    [finding] = flow._ingest(found, "ev", {0: 10, 1: 1_201})
    assert finding.level is Level.WARNING and "partition 1 is 1,100 records and 60 s behind" in finding.what


def test_the_longest_report_of_a_partition_counts() -> None:
    """Reports may come again, and an older one after a newer one."""
    found = heard(Record(report(0, 50)), Record(report(0, 9)))
    assert found.reports[0].through_offset == 50


@pytest.mark.parametrize(("ahead_ms", "side"), [(7_000, "7.0 s ahead of"), (-7_000, "7.0 s behind")])
def test_clocks_that_differ_are_a_problem(ahead_ms: int, side: str) -> None:
    """Leases and the bounds of event time depend on them."""
    [finding] = flow._clock(heard(Record(Tick("w")), now_ms=NOW_MS + ahead_ms))
    assert finding.level is Level.PROBLEM and side in finding.what


def test_foreign_records_in_the_inputs_are_a_problem() -> None:
    """Only ingest and worker may write there."""
    findings = flow._worker(heard(Record(Tick("w")), Record(b"hello")), "in", [0])
    assert levels(findings) == [Level.FINE, Level.PROBLEM]


class Partition:
    """A partition as the client's metadata shows it."""

    def __init__(self, leader: int, replicas: list[int], isrs: list[int]) -> None:
        self.leader, self.replicas, self.isrs = leader, replicas, isrs


class Topic:
    """A topic as the client's metadata shows it."""

    def __init__(self, *partitions: Partition) -> None:
        self.partitions = dict(enumerate(partitions))


def test_partitions_without_a_leader_or_with_copies_missing_are_named() -> None:
    """The first stops the pipeline, the second is a broker away from it."""
    topic = Topic(Partition(1, [1, 2, 3], [1, 2, 3]), Partition(-1, [1, 2, 3], []), Partition(1, [1, 2, 3], [1]))
    first, second = _partitions("in", topic)  # type: ignore[arg-type] # a stand-in, as above
    assert first.level is Level.PROBLEM and "partition(s) 1;" in first.what
    assert second.level is Level.WARNING and "partition(s) 1, 2 " in second.what


def test_without_a_broker_there_is_one_finding() -> None:
    """Everything else would say the same."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        [finding] = examine(Settings(brokers=f"127.0.0.1:{taken.getsockname()[1]}"))
    assert finding.level is Level.PROBLEM and "not reachable" in finding.what
