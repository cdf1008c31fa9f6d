"""The windows table over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.inputs import Tick
from schemas.report import PANE_MS, SLICE_MS
from tests.streams.http.client import Client, Running, ask
from tests.streams.worker.inputs_log import START_MS, Log, cell, report

SLICE = START_MS // SLICE_MS
WHOLE = f"from_ms={START_MS - 60_000}&to_ms={START_MS + 3_600_000}&window_ms=60000"


def three_panes() -> Log:
    """Three panes of two versions; the last slice is still open."""
    log: Log = []
    for i in range(3):
        ts_ms = START_MS + i * PANE_MS
        cells = [
            cell("chat", "v1", ts_ms=ts_ms, n=4, errors=1, latency_ms=[10.0, 20.0, 30.0, 40.0]),
            cell("chat", "v2", ts_ms=ts_ms, n=2, errors=0, latency_ms=[100.0, 200.0]),
        ]
        slice_no = SLICE + i * (PANE_MS // SLICE_MS)
        log.append((report(source=0, slice_no=slice_no, through=i, cells=cells), ts_ms))
    return log


async def get(client: Client, path: str, status: int = 200) -> Any:
    response = await client.get(path)
    assert response.status == status, await response.text()
    return await response.json(content_type=None)


def test_windows_hold_folded_and_open_slices() -> None:
    """Nothing waits: what is in a slice that is still open is in the table too."""

    async def questions(client: Client) -> None:
        page = await get(client, f"/v1/services/chat/windows?{WHOLE}")
        rows = {row["version"]: row for row in page["rows"]}
        assert (rows["v1"]["n"], rows["v1"]["errors"], rows["v2"]["n"]) == (12, 3, 6)
        assert rows["v1"]["error_rate"] == 0.25
        latency = rows["v1"]["metrics"]["latency_ms"]
        assert (latency["n"], latency["mean"], latency["low"], latency["high"]) == (12, 25.0, 10.0, 40.0)
        assert latency["p99"] == pytest.approx(40.0, rel=0.01)
        assert latency["p90"] == pytest.approx(40.0, rel=0.01) and latency["p50"] == pytest.approx(20.0, rel=0.01)
        assert page["next_from_ms"] is None

    running = Running(three_panes())
    ask(running, questions)
    assert running.worker.partition.services["chat"].open


def test_windows_are_as_long_as_asked_and_come_in_order() -> None:
    """One row per window and version; paging continues where it stopped and loses nothing."""

    async def questions(client: Client) -> None:
        span = f"from_ms={START_MS}&to_ms={START_MS + 60_000}"
        page = await get(client, f"/v1/services/chat/windows?{span}&version=v1")
        assert [row["n"] for row in page["rows"]] == [4, 4, 4]
        assert [row["start_ms"] for row in page["rows"]] == [START_MS, START_MS + PANE_MS, START_MS + 2 * PANE_MS]
        seen, path = [], f"/v1/services/chat/windows?{span}&limit=1"
        while True:
            page = await get(client, path)
            seen += page["rows"]
            if page["next_from_ms"] is None:
                break
            path = f"/v1/services/chat/windows?limit=1&to_ms={START_MS + 60_000}&from_ms={page['next_from_ms']}"
        assert [row["n"] for row in seen] == [4, 2] * 3
        page = await get(client, f"/v1/services/chat/windows?{span}&segment=eu")
        assert page["rows"] == []

    ask(Running(three_panes()), questions)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from_ms=yesterday", "from_ms"),
        ("from_ms=-1", "from_ms"),
        ("to_ms=1e3", "to_ms"),
        ("from_ms=20&to_ms=10", "to_ms"),
        ("window_ms=15000", "window_ms"),
        ("window_ms=0", "window_ms"),
        ("limit=0", "limit"),
        ("limit=100000000", "limit"),
        ("to_ms=99999999999999999999", "to_ms"),
        ("since=1", "since"),
        ("from_ms=%D9%A1", "from_ms"),
    ],
)
def test_wrong_parameters_are_named(query: str, parameter: str) -> None:
    """A wrong parameter is a problem document that says which, what was found, and what is allowed."""

    async def questions(client: Client) -> None:
        problem = await get(client, f"/v1/services/chat/windows?{query}", 400)
        assert problem["parameter"] == parameter
        assert "allowed is" in problem["detail"]

    ask(Running(three_panes()), questions)


def test_an_unknown_service_is_a_problem_document() -> None:
    """RFC 9457: type, title, status, detail, and its content type."""

    async def questions(client: Client) -> None:
        for path in ("windows", "release", "decisions"):
            response = await client.get(f"/v1/services/nobody/{path}")
            assert response.status == 404
            assert response.content_type == "application/problem+json"
            problem = await response.json(content_type=None)
            assert {"type", "title", "status", "detail"} <= problem.keys()
        assert (await get(client, "/v1/nothing", 404))["status"] == 404

    ask(Running([(Tick(), START_MS)]), questions)


def test_all_services_are_listed() -> None:
    """With their partition, and whether they are judged."""

    async def questions(client: Client) -> None:
        found = await get(client, "/v1/services")
        assert [entry["service"] for entry in found["services"]] == ["chat"]
        assert found["services"][0]["stuck"] is None

    ask(Running(three_panes()), questions)


def test_what_is_old_comes_in_wider_rows_that_say_so() -> None:
    """Older windows are merged: rows shorter than they are cannot be had, and start and end tell. Nothing is lost."""
    log = three_panes()
    later_ms = START_MS + 3 * 3_600_000
    log.append((report(source=0, slice_no=later_ms // SLICE_MS, through=3, cells=[]), later_ms))
    cells = [cell("chat", "v1", ts_ms=later_ms, n=5, errors=0)]
    log.append((report(source=0, slice_no=later_ms // SLICE_MS + 1, through=4, cells=cells), later_ms + 250))

    async def questions(client: Client) -> None:
        span = f"from_ms={START_MS}&to_ms={later_ms + 60_000}&version=v1"
        page = await get(client, f"/v1/services/chat/windows?{span}")
        rows = [(row["start_ms"] - START_MS, row["end_ms"] - row["start_ms"], row["n"]) for row in page["rows"]]
        assert rows == [(0, 60_000, 12), (3 * 3_600_000, PANE_MS, 5)]
        page = await get(client, f"/v1/services/chat/windows?{span}&window_ms=40000&limit=1")
        (row,) = page["rows"]
        # Of 40 s, the second one begins inside the minute that is kept: both are one row.
        assert (row["start_ms"], row["end_ms"], row["n"]) == (START_MS // 40_000 * 40_000, START_MS + 80_000, 12)
        assert page["next_from_ms"] == later_ms // 40_000 * 40_000
        assert page["kept"][0] == {"window_ms": PANE_MS, "for_ms": 3_600_000}

    ask(Running(log), questions)
