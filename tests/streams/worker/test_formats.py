"""Stored values carry their format: every format that was released is read, an unknown one is never guessed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from schemas.inputs import decode_input, encode_input
from schemas.report import REPORT_VERSION, SLICE_MS, Report
from streams.worker.faust_app import Arrived
from streams.worker.state import STATE_VERSION
from streams.worker.stored_records import CURSOR_VERSION, Cursor, ServiceRecord, decode_value, encode_value, header_of
from streams.worker.stored_windows import StoredWindow, opened
from streams.worker.windows import WINDOW_VERSION
from tests.streams.worker.inputs_log import START_MS, cell, report
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import MemoryBroker

FIXTURES = Path(__file__).resolve().parent / "fixtures"
SLICE = START_MS // SLICE_MS


def fixture(name: str, version: int) -> bytes:
    path = FIXTURES / f"format_{version}" / f"{name}.msgpack"
    assert path.exists(), f"{path.name} of format {version} is missing: python -m tests.streams.worker.fixtures.make"
    return path.read_bytes()


@pytest.mark.parametrize("version", range(1, STATE_VERSION + 1))
def test_a_stored_service_of_every_format_is_read(version: int) -> None:
    """A worker of this version goes on from it. Unreleased shapes: python -m tests.streams.worker.fixtures.make."""
    record = decode_value(fixture("service", version), ServiceRecord)
    assert (record.stored.service, record.format, record.stored.format) == ("chat", version, version)
    assert record.applied == record.stored.applied >= record.replay_from
    assert record.stored.release.release is not None
    assert record.stored.judge is not None
    assert record.stored.sources
    assert decode_value(encode_value(record), ServiceRecord).stored.release == record.stored.release


@pytest.mark.parametrize("version", range(1, WINDOW_VERSION + 1))
def test_a_stored_window_of_every_format_is_read(version: int) -> None:
    """Operators keep what they could query."""
    window = decode_value(fixture("window", version), StoredWindow)
    assert (window.service, window.format) == ("chat", version)
    assert opened(window).cells
    assert all(one.n for one in opened(window).cells)


@pytest.mark.parametrize("version", range(1, CURSOR_VERSION + 1))
def test_a_stored_cursor_of_every_format_is_read(version: int) -> None:
    """It says where recovery begins."""
    cursor = decode_value(fixture("cursor", version), Cursor)
    assert (cursor.format, cursor.replay_from) == (version, cursor.applied + 1)


@pytest.mark.parametrize("version", range(1, REPORT_VERSION + 1))
def test_a_report_of_every_format_is_read(version: int) -> None:
    """Reports wait in the inputs while versions change."""
    found = decode_input(fixture("report", version))
    assert isinstance(found, Report)
    assert (found.format, bool(found.cells)) == (version, True)


def test_every_stored_value_begins_with_its_format() -> None:
    """Whatever reads it later can tell before it guesses."""
    for name, version in {"service": STATE_VERSION, "window": WINDOW_VERSION, "cursor": CURSOR_VERSION}.items():
        assert header_of(fixture(name, version)).format == version


def handle(worker: Lifetime, values: list[bytes]) -> None:
    async def run() -> None:
        for offset, value in enumerate(values):
            await worker.agent.handle(Arrived(0, offset, START_MS + offset, None, value))

    asyncio.run(run())


def test_a_report_of_an_unknown_format_stops_the_services_that_it_concerns() -> None:
    """They are named in the log, on /readyz and in a gauge, and are not stored; the other services go on."""
    known = [report(source=n, slice_no=SLICE, through=0, cells=[cell(name, "v1", ts_ms=START_MS, n=1, errors=0)])
             for n, name in enumerate(("chat", "code"))]  # fmt: skip
    newer = msgspec.structs.replace(
        known[0],
        format=REPORT_VERSION + 1,
        slice_no=SLICE + 1,
        cells=[cell("new", "v1", ts_ms=START_MS, n=1, errors=0)],
    )
    later = report(source=1, slice_no=SLICE + 1, through=1, cells=[cell("code", "v1", ts_ms=START_MS, n=1, errors=0)])
    worker = Lifetime(MemoryBroker(), [])
    with capture_logs() as lines:
        handle(worker, [encode_input(record) for record in (*known, newer, later)])
    assert set(worker.registry.stuck()) == {"chat", "new"}
    assert f"format {REPORT_VERSION + 1}" in worker.registry.stuck()["chat"]
    assert [line["service"] for line in lines if line["log_level"] == "critical"] == ["chat", "new"]
    assert worker.partition.services["chat"].stored.applied == 1
    assert worker.partition.services["code"].stored.applied == 3


def test_a_report_whose_shape_is_unknown_stops_the_whole_partition() -> None:
    """Nobody can say which services it concerns; none is judged on what may be half of the evidence."""
    known = report(source=0, slice_no=SLICE, through=0, cells=[cell("chat", "v1", ts_ms=START_MS, n=1, errors=0)])
    strange = msgspec.msgpack.encode({"type": "report", "format": REPORT_VERSION + 1, "cells": "packed"})
    worker = Lifetime(MemoryBroker(), [])
    handle(worker, [encode_input(known), strange])
    assert set(worker.registry.stuck()) == {"chat"}
    assert worker.partition.position.expected == 2
