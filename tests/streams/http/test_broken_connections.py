"""Connections that break in the middle: of who asks, and of the worker that is asked in turn."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from streams.http.problem import problems
from streams.settings import Settings
from tests.streams.http.client import Running

RESET = struct.pack("ii", 1, 0)
"""Close without a farewell: the other side hears of a reset, as after `kill -9`."""


def test_nobody_is_told_of_a_client_that_has_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Who asks may leave; that is no defect of ours, and no error in the log."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise ClientConnectionResetError("Cannot write to closing transport")

    assert asyncio.run(problems(make_mocked_request("GET", "/v1/services"), handler)).status == 499
    assert not caplog.records


def test_an_owner_that_dies_while_it_is_asked_does_not_answer() -> None:
    """A worker that was killed in the middle of a forwarded request is a 503 with Retry-After, not a defect."""

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async def run() -> None:
        other = Running([], settings=Settings(http_port=1))
        other.worker.registry.owned = {}
        owner = await asyncio.start_server(die, "127.0.0.1", 0)
        other.broker.owned_by = {0: f"http://127.0.0.1:{owner.sockets[0].getsockname()[1]}"}
        async with owner, TestClient(TestServer(other.application())) as client:
            response = await client.get("/v1/services/chat/release")
            assert (response.status, "Retry-After" in response.headers) == (503, True)
        await other.view.close()

    asyncio.run(run())
