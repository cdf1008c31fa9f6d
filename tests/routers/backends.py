"""Two versions of a service: they answer each request with what the router told them, and note when it came."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Backends:
    """An HTTP server for each version, on a free port of 127.0.0.1, in one thread.

    Parameters
    ----------
    versions : their names.
    """

    def __init__(self, versions: Iterable[str]) -> None:
        self.ports: dict[str, int] = {}
        self.last_s = dict.fromkeys(versions, 0.0)
        """When the newest request of each came, by the monotonic clock."""
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="backends", daemon=True)

    async def _listen(self) -> None:
        for version in self.last_s:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: str = version) -> None:
                await self._serve(version, reader, writer)

            server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
            self._servers.append(server)
            self.ports[version] = server.sockets[0].getsockname()[1]

    async def _serve(self, version: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.last_s[version] = time.monotonic()
                lines = head.decode("latin-1").split("\r\n")[1:-2]
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                told = {name: headers.get(f"x-serinus-{name}") for name in ("version", "epoch", "bucket")}
                body = json.dumps({"answered": version, **told}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the proxy has left, or the test
        finally:
            writer.close()

    async def _leave(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def backends(*versions: str) -> Iterator[Backends]:
    """Running as long as the block lasts."""
    running = Backends(versions)
    running._thread.start()
    try:
        asyncio.run_coroutine_threadsafe(running._listen(), running._loop).result(10)
        yield running
    finally:
        asyncio.run_coroutine_threadsafe(running._leave(), running._loop).result(10)
        running._loop.call_soon_threadsafe(running._loop.stop)
        running._thread.join(10)
        running._loop.close()
