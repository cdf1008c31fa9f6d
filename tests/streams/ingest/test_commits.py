"""When an offset may be committed, and in which order things are sent."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.event import encode_event
from schemas.inputs import decode_input
from schemas.report import SLICE_MS, Report
from streams.ingest.commits import Commits
from streams.ingest.engine import Engine
from streams.ingest.metrics import IngestMetrics
from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings
from tests.streams.ingest.samples import BASE_MS, event


class FakeOutbox:
    """Keeps what was sent; nobody acknowledges anything until the test does."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str, bytes, int | None, bytes | None]] = []

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None:
        self.sent.append((number, topic, value, partition, key))

    def reports(self) -> list[tuple[int | None, Report]]:
        found = [(partition, decode_input(value)) for _, topic, value, partition, _ in self.sent if topic == "inputs"]
        return [(partition, one) for partition, one in found if isinstance(one, Report)]


def engine(outbox: FakeOutbox, partitions: int = 2) -> Engine:
    settings = IngestSettings(kafka={}, input_partitions=partitions, inputs_topic="inputs", dead_topic="dead")
    return Engine(settings, "id", outbox, IngestMetrics())


def batch(first_offset: int, times: list[int], raw: bytes | None = None) -> Records:
    return Records.of([raw or encode_event(event())] * len(times), times, first_offset=first_offset)


def test_a_slice_is_committed_after_all_that_was_sent_before_it() -> None:
    """One missing acknowledgement among the earlier sends, of a report or a dead letter, holds the commit back."""
    outbox = FakeOutbox()
    core = engine(outbox)
    core.take(batch(0, [BASE_MS]))
    core.take(batch(1, [BASE_MS], raw=b"bad"))
    core.flush(now_s=0.0, now_ms=BASE_MS)
    core.take(batch(2, [BASE_MS + SLICE_MS]))
    numbers = [number for number, *_ in outbox.sent]
    assert [topic for _, topic, *_ in outbox.sent] == ["dead", *["inputs"] * 4]
    for number in reversed(numbers):
        assert core.commits.allowed() == {}
        core.acknowledged(number)
    assert core.commits.allowed() == {0: 2}


def test_later_sends_do_not_hold_an_earlier_commit_back() -> None:
    """What is sent of the current slice need not be acknowledged for its first offset to be committed."""
    outbox = FakeOutbox()
    core = engine(outbox)
    core.take(batch(0, [BASE_MS, BASE_MS + SLICE_MS]))
    before = [number for number, *_ in outbox.sent]
    core.flush(now_s=0.0, now_ms=BASE_MS)
    for number in before:
        core.acknowledged(number)
    assert core.commits.allowed() == {0: 1}
    core.commits.committed(0, 1)
    assert core.commits.allowed() == {}


def test_every_flush_shows_the_full_prefix_to_every_partition() -> None:
    """A flush sends one report to each partition, with all events of the slice so far; empty ones too."""
    outbox = FakeOutbox()
    core = engine(outbox, partitions=4)
    for at in range(3):
        core.take(batch(at, [BASE_MS]))
        core.flush(now_s=at * 0.25, now_ms=BASE_MS)
    reports = outbox.reports()
    assert [partition for partition, _ in reports] == [0, 1, 2, 3] * 3
    assert [sum(cell.n for cell in one.cells) for partition, one in reports if partition == 2] == [1, 2, 3]
    assert all(not one.cells for partition, one in reports if partition != 2)
    assert [one.through_offset for partition, one in reports if partition == 0] == [0, 1, 2]


def test_the_last_report_of_a_slice_comes_before_the_next_slice() -> None:
    """A batch over three slices sends the full final prefix of each closed one, in order."""
    outbox = FakeOutbox()
    core = engine(outbox, partitions=1)
    core.take(batch(0, [BASE_MS, BASE_MS, BASE_MS + SLICE_MS, BASE_MS + 2 * SLICE_MS]))
    core.flush(now_s=0.0, now_ms=BASE_MS)
    shown = [(one.slice_no - BASE_MS // SLICE_MS, one.cells[0].n) for _, one in outbox.reports()]
    assert shown == [(0, 2), (1, 1), (2, 1)]


def test_an_idle_slice_is_repeated_once_a_second() -> None:
    """Unchanged for more than a second, a slice is shown once a second, and again at once when it changes."""
    outbox = FakeOutbox()
    core = engine(outbox, partitions=1)
    core.take(batch(0, [BASE_MS]))
    for quarter in range(21):
        core.flush(now_s=quarter / 4, now_ms=BASE_MS)
    assert len(outbox.sent) == 5 + 4
    core.take(batch(1, [BASE_MS]))
    core.flush(now_s=5.25, now_ms=BASE_MS)
    assert len(outbox.sent) == 10


def test_a_dropped_partition_leaves_nothing_to_commit() -> None:
    """After a revocation neither its open slice nor its offsets are touched again."""
    outbox = FakeOutbox()
    core = engine(outbox, partitions=1)
    core.take(batch(0, [BASE_MS, BASE_MS + SLICE_MS]))
    core.drop(0)
    for number, *_ in list(outbox.sent):
        core.acknowledged(number)
    core.flush(now_s=0.0, now_ms=BASE_MS)
    assert core.commits.allowed() == {}
    assert len(outbox.sent) == 1
    core.take(batch(1, [BASE_MS + SLICE_MS]))
    core.flush(now_s=0.0, now_ms=BASE_MS)
    assert outbox.reports()[-1][1].first_offset == 1


@given(st.lists(st.sampled_from(["send", "open", "ack"]), max_size=60), st.randoms())
def test_no_offset_overtakes_a_missing_acknowledgement(steps: list[str], rng: random.Random) -> None:
    """Whatever the order of acknowledgements, an allowed offset has nothing unacknowledged before its slice."""
    commits = Commits()
    missing: set[int] = set()
    barriers: dict[int, set[int]] = {}
    sent = 0
    for at, step in enumerate(steps):
        if step == "send":
            sent = commits.sent()
            missing.add(sent)
        elif step == "open":
            barriers[at] = set(range(1, sent + 1))
            commits.opened(0, at)
        elif missing:
            number = rng.choice(sorted(missing))
            missing.remove(number)
            commits.acknowledged(number)
        ready = [offset for offset, before in barriers.items() if not before & missing]
        assert commits.allowed().get(0) == (max(ready) if ready else None)
        assert commits.outstanding == len(missing)
