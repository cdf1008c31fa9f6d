"""A real HTTP server that keeps what it was told, and answers, fails or hangs as a test says."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.e2e.pipeline import wait_for


class Told(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


class Receiver:
    """What came, by path.

    Parameters
    ----------
    url : where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.answers: dict[str, list[int]] = {}
        """By path the statuses to answer, one after another; then 200."""
        self.headers: dict[str, str] = {}
        """Beside each answer that is not 200."""
        self.hangs: set[str] = set()
        self.let_go = threading.Event()

    def wait(self, path: str, count: int, *, dump: Callable[[], str] = lambda: "") -> list[Told]:
        """At least so many requests of a path."""
        wait_for(lambda: len(self.told[path]) >= count, 60, what=f"{count} at {path}", dump=dump)
        return self.told[path]

    def take(self, told: Told) -> int | None:
        self.told[told.path].append(told)
        if told.path in self.hangs:
            self.let_go.wait(60)
        statuses = self.answers.get(told.path)
        return statuses.pop(0) if statuses else 200


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = found.take(Told(self.path, dict(self.headers), body)) or 200
            try:
                self.send_response(status)
                for name, value in found.headers.items() if status != 200 else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked was killed

        def log_message(self, format: str, *args: object) -> None:
            """A test says what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        found.let_go.set()
        server.shutdown()
        server.server_close()
