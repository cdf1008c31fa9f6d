"""What recovery chooses among the records of several writers."""

from __future__ import annotations

import msgspec

from releases.judge import start_judge
from releases.release_state import ReleaseState
from schemas.plan import EXAMPLE, parse_plan
from streams.worker.restore import restore
from streams.worker.state import Service, Stored
from streams.worker.stored_records import Cursor, ServiceRecord, decode_value, encode_value, service_record
from streams.worker.stored_windows import StoredWindow, at_rest, opened
from streams.worker.table_keys import Kind, TableKey, window_key
from streams.worker.tiers import Span
from streams.worker.windows import Window
from tests.streams.worker.inputs_log import cell

Items = list[tuple[bytes, bytes]]


def stored(applied: int, *, replay_from: int = 0, writer: str = "w", name: str = "chat") -> tuple[bytes, bytes]:
    """A service's record."""
    record = ServiceRecord(
        1, applied, replay_from, Stored(name, created=0, release=ReleaseState(name), applied=applied)
    )
    return TableKey(Kind.SERVICE, writer, name).encode(), encode_value(record)


def cursor(applied: int, replay_from: int, *, writer: str = "w", partition: int = 0) -> tuple[bytes, bytes]:
    """A cursor's record."""
    key = TableKey(Kind.CURSOR, writer, str(partition)).encode()
    return key, encode_value(Cursor(applied=applied, replay_from=replay_from))


def test_the_largest_applied_wins_in_any_order() -> None:
    """A stale record of a zombie, though later in the topic, never hides a newer one."""
    items: Items = [stored(5, writer="a"), stored(9, writer="heir"), stored(7, writer="zombie")]
    for order in (items, items[::-1], [items[1], items[0], items[2]]):
        restored = restore(order, partition=0, partitions=1)
        assert restored.services["chat"].stored.applied == 9


def test_reading_begins_at_the_oldest_open_slice_or_the_cursor() -> None:
    """The place is the smallest of all services' replay_from and the cursor's."""
    items: Items = [stored(9, replay_from=4), stored(9, replay_from=6, name="code"), cursor(9, 5)]
    assert restore(items, partition=0, partitions=1).read_from == 4
    assert restore([items[1], items[2]], partition=0, partitions=1).read_from == 5


def test_without_a_cursor_the_whole_log_is_read() -> None:
    """Before the first complete checkpoint there may be services that are stored nowhere."""
    assert restore([stored(9, replay_from=4)], partition=0, partitions=1).read_from == 0


def test_an_unknown_format_stops_that_service_only() -> None:
    """A record of a later version is not guessed at: its service is stuck, the others go on."""
    newer = msgspec.msgpack.encode({"format": 99, "applied": 10, "whatever": 1})
    items: Items = [
        stored(9),
        (TableKey(Kind.SERVICE, "newer", "chat").encode(), newer),
        stored(3, name="code"),
        cursor(9, 9),
    ]
    restored = restore(items, partition=0, partitions=1)
    assert "format 99" in restored.stuck["chat"]
    assert "chat" not in restored.services
    assert restored.services["code"].stored.applied == 3


def test_an_unreadable_window_stops_its_service() -> None:
    """Adding to a window that cannot be read would lose what it holds."""
    key = TableKey(Kind.WINDOW, "w", "chat", 7).encode()
    items: Items = [stored(9), (key, msgspec.msgpack.encode({"format": 99, "applied": 9}))]
    assert set(restore(items, partition=0, partitions=1).stuck) == {"chat"}


def test_foreign_records_are_named_and_skipped() -> None:
    """Garbage in the topic does not stop recovery."""
    restored = restore([(b"junk", b"junk"), stored(9), (stored(1, name="x")[0], b"\x93")], partition=0, partitions=1)
    assert len(restored.unreadable) == 2
    assert set(restored.services) == {"chat"}


def test_records_of_other_partitions_are_left_alone() -> None:
    """The table may still hold what now belongs to another worker."""
    items: Items = [stored(9), stored(9, name="code"), cursor(9, 9, partition=0), cursor(9, 9, partition=3)]
    found = [restore(items, partition=number, partitions=4) for number in range(4)]
    assert sorted(name for restored in found for name in restored.services) == ["chat", "code"]
    assert [restored.cursor is not None for restored in found] == [True, False, False, True]


def test_a_service_with_a_judge_comes_back_as_it_was() -> None:
    """Plans with their units and detectors with their arrays survive being stored."""
    plan = parse_plan(EXAMPLE)
    before = Service(Stored("chat", created=3, release=ReleaseState("chat"), judge=start_judge(plan), applied=8))
    raw = encode_value(service_record(before))
    assert encode_value(decode_value(raw, ServiceRecord)) == raw


def test_a_window_comes_back_as_it_was() -> None:
    """So do windows."""
    cells = (cell("chat", "v1", ts_ms=170_000, n=3, errors=1, latency_ms=[1.0, 2.0, 3.0]),)
    window = Window("chat", 17, applied=4, cells=cells, panes=6)
    assert opened(decode_value(encode_value(at_rest(window)), StoredWindow)) == window


def test_a_window_stands_for_those_that_it_contains() -> None:
    """Another writer's narrower ones are still there; what they hold is inside."""
    spans = [Span(120, 60), Span(120, 6), Span(125, 1), Span(180, 1), Span(186, 6)]
    items: Items = [stored(9)]
    for span in spans:
        window = at_rest(Window("chat", span.first, applied=span.first % 7, panes=span.panes))
        items.append((window_key("w", "chat", span).encode(), encode_value(window)))
    kept = {Span(120, 60), Span(180, 1), Span(186, 6)}
    for order in (items, items[::-1]):
        assert restore(order, partition=0, partitions=1).windows["chat"].keys() == kept
