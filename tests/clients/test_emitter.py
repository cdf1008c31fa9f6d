"""The emitter: never in the way of a request, and every event is accounted for."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus import Clock, Emitter
from serinus.event import Emitted, EventEncoder, InvalidEventError

NOWHERE = "127.0.0.1:1"
NOW_MS = 1_763_632_800_000
anything: Any = object()


@pytest.fixture
def idle() -> Iterator[Emitter]:
    """An emitter that only queues."""
    emitter = Emitter(service="chat", brokers=NOWHERE, queue_size=5, start=False, clock=Clock(now_ms=lambda: NOW_MS))
    yield emitter
    emitter.close(0)


def queued(emitter: Emitter) -> list[dict[str, Any]]:
    encoder = EventEncoder("chat")
    return [msgspec.json.decode(encoder.encode(Emitted(*arguments))[1]) for arguments in emitter._queue]


def emitted(**change: Any) -> Emitted:
    plain = Emitted("v2", NOW_MS, "request", False, None, None, None, "", None, None, None)
    return plain._replace(**change)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_full_queue_drops_and_counts(idle: Emitter) -> None:
    """Beyond its bound the queue takes nothing, keeps what it has, and counts what it refused."""
    for number in range(8):
        idle.emit(version=f"v{number}")
    assert [event["version"] for event in queued(idle)] == ["v0", "v1", "v2", "v3", "v4"]
    assert idle.stats().dropped == {"queue_full": 3}


def test_closing_accounts_for_everything() -> None:
    """What cannot be sent any more is counted as dropped, also what is emitted after the close."""
    emitter = Emitter(service="chat", brokers=NOWHERE)
    for _ in range(50):
        emitter.emit(version="v1")
    assert emitter.close(timeout_s=0.2) == 50
    emitter.emit(version="v1")
    stats = emitter.stats()
    assert (stats.queued, stats.in_flight, stats.sent, sum(stats.dropped.values())) == (0, 0, 0, 51)
    assert stats.dropped["closed"] >= 1


def test_emit_is_fast_and_silent_while_the_broker_is_down(caplog: pytest.LogCaptureFixture) -> None:
    """Without a broker `emit` neither raises nor waits, and the log does not flood. (Bounds far above the usual.)"""
    with Emitter(service="chat", brokers=NOWHERE, queue_size=1_000) as emitter:
        spent_us = []
        for _ in range(5_000):
            started_s = time.perf_counter()
            emitter.emit(version="v1", latency_ms=1.0, values={"tokens_out": 4.0}, unit="user-1")
            spent_us.append((time.perf_counter() - started_s) * 1e6)
        time.sleep(0.3)
        emitter._closed = True
        emitter._sender.close(1)  # type: ignore[union-attr]  # present: it was never forked
        assert statistics.median(spent_us) < 50
        assert emitter.stats().dropped["queue_full"] > 1_000
    assert len(caplog.records) < 12


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": ""}, "invalid_version"),
        ({"version": None}, "invalid_version"),
        ({"version": "v" * 257}, "invalid_version"),
        ({"latency_ms": -1.0}, "invalid_latency_ms"),
        ({"latency_ms": float("nan")}, "invalid_latency_ms"),
        ({"latency_ms": "12"}, "invalid_latency_ms"),
        ({"latency_ms": Decimal("sNaN")}, "invalid_latency_ms"),
        ({"values": {"tokens": float("inf")}}, "invalid_values"),
        ({"values": {"tokens": 10**400}}, "invalid_values"),
        ({"values": {"tokens": None}}, "invalid_values"),
        ({"values": {"": 1.0}}, "invalid_values"),
        ({"values": {1: 1.0}}, "invalid_values"),
        ({"labels": {"class": 3}}, "invalid_labels"),
        ({"segment": None}, "invalid_segment"),
        ({"kind": "reply"}, "invalid_kind"),
        ({"ts_ms": 1.5}, "invalid_ts_ms"),
        ({"ts_ms": -1}, "invalid_ts_ms"),
        ({"epoch": True}, "invalid_epoch"),
        ({"bucket": "7"}, "invalid_bucket"),
        ({"segment": "\ud800"}, "invalid_text"),
        ({"labels": {f"label-{number}": "x" * 256 for number in range(300)}}, "too_large"),
    ],
)
def test_unusable_events_are_refused_by_reason(change: dict[str, Any], reason: str) -> None:
    """What the pipeline would put to the dead letters is refused here, under a fixed reason."""
    with pytest.raises(InvalidEventError) as caught:
        EventEncoder("chat").encode(emitted(**change))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "arguments",
    [{"values": 5}, {"values": [1]}, {"labels": anything}, {"values": np.array([1, 2])}, {"error": np.array([1, 2])}],
)
def test_arguments_of_any_kind_never_raise(arguments: dict[str, Any]) -> None:
    """Arguments that cannot even be copied or tested are counted like any other drop."""
    with Emitter(service="chat", brokers=NOWHERE) as emitter:
        emitter.emit(version="v1", **arguments)
        wait_until(lambda: emitter.stats().dropped == {"invalid_arguments": 1})


def test_numbers_of_other_libraries_are_numbers() -> None:
    """numpy's scalars, decimals and booleans arrive as the JSON numbers that they mean."""
    values = {"a": np.float32(0.5), "b": np.int64(3), "c": Decimal("1.25"), "d": True, "e": 7}
    event = emitted(values=values, latency_ms=np.float64(2.5), ts_ms=np.int64(NOW_MS), error=np.bool_(True))
    sent = msgspec.json.decode(EventEncoder("chat").encode(event)[1])
    assert sent["values"] == {"a": 0.5, "b": 3, "c": 1.25, "d": 1, "e": 7}
    assert (sent["latency_ms"], sent["ts_ms"], sent["error"]) == (2.5, NOW_MS, True)


@given(
    version=st.text(min_size=1, max_size=20),
    latency_ms=st.none() | st.floats(0, 1e9),
    values=st.dictionaries(
        st.text(min_size=1, max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=3
    ),
    unit=st.none() | st.text(max_size=5),
)
def test_good_events_arrive_as_they_were(
    version: str, latency_ms: float | None, values: dict[str, float], unit: str | None
) -> None:
    """Encoding loses and changes nothing but the unit's id."""
    key, record = EventEncoder("chat").encode(emitted(version=version, latency_ms=latency_ms, values=values, unit=unit))
    sent = msgspec.json.decode(record)
    assert (sent["service"], sent["version"], sent["ts_ms"]) == ("chat", version, NOW_MS)
    assert (sent.get("latency_ms"), sent.get("values", {}), sent.get("unit")) == (latency_ms, values, key)


def test_units_leave_only_as_keyed_hashes() -> None:
    """The id is in no part of the record; the hash depends on key and service and is stable."""
    key, record = EventEncoder("chat", b"key").encode(emitted(unit="alice@example.com"))
    assert b"alice" not in record
    assert key == hashlib.blake2b(b"alice@example.com", key=b"key", digest_size=8).hexdigest()
    others = [EventEncoder("chat", b"other"), EventEncoder("chat"), EventEncoder("code")]
    assert len({key, *(encoder.hash_unit("alice@example.com") for encoder in others)}) == 4


def test_the_caller_may_change_its_dictionaries_afterwards(idle: Emitter) -> None:
    """An event is what it was when it was emitted."""
    values = {"tokens": 1.0}
    idle.emit(version="v1", values=values)
    values["tokens"] = 2.0
    assert queued(idle)[0]["values"] == {"tokens": 1.0}


def test_request_measures_and_reports() -> None:
    """The block's time is the latency; values, labels, unit, epoch and bucket come along."""
    seconds = iter([10.0, 10.25])
    clock = Clock(now_ms=lambda: NOW_MS, monotonic_s=lambda: next(seconds))
    emitter = Emitter(service="chat", brokers=NOWHERE, start=False, clock=clock)
    with emitter.request(version="v2", segment="eu", epoch=4, bucket=7) as request:
        request.values["tokens_out"] = 41
        request.labels["finish"] = "stop"
    assert queued(emitter) == [
        {
            "service": "chat",
            "version": "v2",
            "ts_ms": NOW_MS,
            "latency_ms": 250.0,
            "values": {"tokens_out": 41.0},
            "labels": {"finish": "stop"},
            "segment": "eu",
            "epoch": 4,
            "bucket": 7,
        }
    ]
    emitter.close(0)


def test_request_reports_an_exception_and_passes_it_on(idle: Emitter) -> None:
    """A failed request is an error event, and the caller gets its own exception."""
    with pytest.raises(KeyError), idle.request(version="v2"):
        raise KeyError("model")
    assert queued(idle)[0]["error"] is True


def test_request_spoiled_by_the_caller_does_not_raise(idle: Emitter) -> None:
    """Even a request object filled with nonsense cannot fail the request."""
    with idle.request(version="v2") as request:
        request.values = anything
    assert idle.stats().dropped == {"invalid_arguments": 1}


def test_request_works_in_asyncio(idle: Emitter) -> None:
    """The same object serves ``async with``; a cancelled request is an error and stays cancelled."""

    async def cancelled() -> None:
        async with idle.request(version="v2"):
            await asyncio.sleep(10)

    async def main() -> None:
        async with idle.request(version="v1") as request:
            await asyncio.sleep(0)
            request.latency_ms = 3.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cancelled(), 0.01)

    asyncio.run(main())
    assert [(event["version"], event.get("error", False)) for event in queued(idle)] == [("v1", False), ("v2", True)]
    assert queued(idle)[0]["latency_ms"] == 3.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"service": ""},
        {"brokers": ""},
        {"unit_key": b""},
        {"unit_key": b"x" * 65},
        {"unit_key": "text"},
        {"queue_size": 0},
        {"config": {"no.such.property": 1}},
        {"config": {"compression.type": "rar"}},
    ],
)
def test_wrong_construction_raises(wrong: dict[str, Any]) -> None:
    """What is wrong in the code or the configuration is said at once, not in the background."""
    with pytest.raises(ValueError, match=r"expected|refuses"):
        Emitter(**{"service": "chat", "brokers": NOWHERE, **wrong})


def test_drops_of_many_threads_are_all_counted(idle: Emitter) -> None:
    """Counting drops loses none when threads drop at the same time."""

    def emit() -> None:
        for _ in range(2_000):
            idle.emit(version="v1")

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = idle.stats()
    assert stats.queued + stats.dropped["queue_full"] == 8_000


def test_a_log_handler_that_emits_does_not_deadlock(idle: Emitter) -> None:
    """Dropping logs; a handler that itself emits, and drops again, comes back."""

    class Emitting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            idle.emit(version="from the handler")

    handler = Emitting()
    logging.getLogger("serinus").addHandler(handler)
    try:
        for _ in range(6):
            idle.emit(version="v1")
    finally:
        logging.getLogger("serinus").removeHandler(handler)
    assert idle.stats().dropped == {"queue_full": 2}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # forking with threads is the point here
def test_a_forked_child_sends_by_itself() -> None:
    """A pre-forking server's children have an empty queue and a sender of their own after their first event."""
    with Emitter(service="chat", brokers=NOWHERE, start=True) as emitter:
        emitter.emit(version="v1")
        child = os.fork()
        if child == 0:
            empty = emitter.stats().queued == 0
            emitter.emit(version="v1")
            deadline_s = time.monotonic() + 3
            while emitter.stats().in_flight == 0 and time.monotonic() < deadline_s:
                time.sleep(0.01)
            os._exit(0 if empty and emitter.stats().in_flight == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        emitter.close(0)
