"""Checkpoints: order, what is left out, what ends."""

from __future__ import annotations

import pytest

from schemas.inputs import Input, Tick
from schemas.report import PANE_MS, SLICE_MS
from streams.worker import tiers
from streams.worker.stored_records import ServiceRecord, decode_value
from streams.worker.table_keys import Kind, TableKey, decode_key
from tests.streams.worker.inputs_log import START_MS, Log, cell, random_log, report
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import MemoryBroker

SLICE = START_MS // SLICE_MS


def kinds(broker: MemoryBroker) -> list[Kind]:
    return [decode_key(key).kind for what, key in broker.writes if what == "store" and key is not None]


def test_windows_then_services_then_the_cursor() -> None:
    """Within every checkpoint the order is the one that recovery relies on."""
    broker = MemoryBroker()
    worker = Lifetime(broker, random_log(5, steps=60))
    worker.read()
    order = [Kind.WINDOW, Kind.SERVICE, Kind.CURSOR]
    rank = 0
    for kind in kinds(broker):
        assert order.index(kind) >= rank
        rank = 0 if kind is Kind.CURSOR else order.index(kind)
    assert set(kinds(broker)) == set(order)


def test_a_service_is_not_stored_before_its_open_slices_are_read_again() -> None:
    """Half way through a recovery its ``replay_from`` would claim that nothing has to be read again."""
    here = cell("chat", "v1", ts_ms=START_MS, n=3, errors=1)
    log: Log = [(report(source=0, slice_no=SLICE, through=5, cells=[here]), START_MS)]
    log += [(Tick(), START_MS + i) for i in range(1, 9)]
    broker = MemoryBroker()
    first = Lifetime(broker, log)
    first.read()
    first.stop()
    second = Lifetime(broker, log)
    assert second.partition.position.expected == 0
    second.stop()
    keys = [TableKey(Kind.SERVICE, w.partition.writer, "chat").encode() for w in (first, second)]
    assert decode_value(broker.table[keys[0]], ServiceRecord).replay_from == 0
    assert keys[1] not in broker.table


def test_time_alone_stores_a_service_every_ten_seconds() -> None:
    """Ticks move every service; storing all of them every second would be most of the work."""
    log: Log = [
        (report(source=0, slice_no=SLICE, through=5, cells=[cell("chat", "v1", ts_ms=START_MS, n=1, errors=0)]), 0)
    ]
    log += [(Tick(), START_MS + i) for i in range(200)]
    broker = MemoryBroker()
    worker = Lifetime(broker, log)
    worker.read()
    seconds = worker.now_s
    assert kinds(broker).count(Kind.SERVICE) == pytest.approx(seconds / 10, abs=2)
    assert kinds(broker).count(Kind.CURSOR) == pytest.approx(seconds / 10, abs=2)


def test_old_windows_go_and_only_own_keys_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired window is dropped; its key is ended by its writer and by nobody else."""
    monkeypatch.setattr(tiers, "TIERS", (tiers.Tier(1, 2 * PANE_MS),))
    broker = MemoryBroker()

    def pane(i: int) -> tuple[Input, int]:
        cells = [cell("chat", "v1", ts_ms=START_MS + i * PANE_MS, n=1, errors=0)]
        slice_no = SLICE + i * (PANE_MS // SLICE_MS)
        return report(source=0, slice_no=slice_no, through=i, cells=cells), START_MS + i * PANE_MS

    log: Log = [pane(i) for i in range(30)]
    first = Lifetime(broker, log)
    first.read(12)
    first.stop()
    of_first = {key for key in broker.table if key.startswith(b"window|" + first.partition.writer.encode())}
    assert 2 <= len(of_first) <= 5
    second = Lifetime(broker, log)
    second.read()
    second.stop()
    assert len(second.partition.windows["chat"].held) <= 5
    assert of_first <= broker.table.keys()
    own = {key for key in broker.table if key.startswith(b"window|" + second.partition.writer.encode())}
    assert len(own) <= 5


def test_a_partition_without_services_keeps_its_place() -> None:
    """Its cursor is stored every ten seconds: otherwise all of its log would be read at each take-over."""
    broker = MemoryBroker()
    log: Log = [(Tick(), i) for i in range(100)]
    worker = Lifetime(broker, log)
    worker.read()
    assert kinds(broker) == [Kind.CURSOR] * 2
    assert Lifetime(broker, log).partition.position.expected > 60


def test_slow_acknowledgements_make_checkpoints_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs wait for a checkpoint: where each record takes a second, three quarters of the time are still theirs."""
    here = [cell("chat", "v1", ts_ms=START_MS, n=1, errors=0)]
    log: Log = [(report(source=0, slice_no=SLICE + i, through=i, cells=here), START_MS + i) for i in range(400)]
    broker = MemoryBroker()
    worker, waited_s = Lifetime(broker, log), 0.0

    async def slow(partition: int, key: bytes, value: bytes | None) -> None:
        nonlocal waited_s
        waited_s, worker.now_s = waited_s + 1.0, worker.now_s + 1.0
        broker.table[key] = value or b""

    monkeypatch.setattr(broker, "store", slow)
    worker.read()
    assert 10 < waited_s <= worker.now_s / 4 + 5


def test_an_outage_does_not_put_off_the_next_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that took a minute is followed by another after ten seconds, not after three minutes."""
    here = [cell("chat", "v1", ts_ms=START_MS, n=1, errors=0)]
    log: Log = [(report(source=0, slice_no=SLICE + i, through=i, cells=here), START_MS + i) for i in range(200)]
    broker = MemoryBroker()
    worker, began_s = Lifetime(broker, log), list[float]()

    async def slow(partition: int, key: bytes, value: bytes | None) -> None:
        began_s.append(worker.now_s)
        worker.now_s += 60.0 if len(began_s) == 1 else 0.01
        broker.table[key] = value or b""

    monkeypatch.setattr(broker, "store", slow)
    worker.read()
    over_s = began_s[0] + 60.0
    assert min(at_s for at_s in began_s if at_s > over_s + 1.0) < over_s + 12.0
