"""HTTP of a process without an interface: ``/metrics``, ``/healthz``, ``/readyz``, in a thread that ends with it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

STALLED_S: Final = 30.0
"""The loop comes round many times a second, Kafka or not; one that stands still this long is stuck."""

_REQUEST_TIMEOUT_S: Final = 5.0


class Liveness:
    """When the loop last came round, and what it waits for. Written by the loop, read by the server's threads."""

    def __init__(self) -> None:
        self._moved_s = time.monotonic()
        self.waits_for = ""
        """Why nothing is counted just now; empty while all is well."""

    def moved(self) -> None:
        self._moved_s = time.monotonic()

    def stalled_s(self) -> float:
        return time.monotonic() - self._moved_s


def serve(registry: CollectorRegistry, liveness: Liveness, *, host: str, port: int) -> ThreadingHTTPServer:
    """Listen and answer until the process ends.

    Parameters
    ----------
    registry : what ``/metrics`` shows.
    liveness : what ``/healthz`` asks: 200 while the loop comes round, 503 when it stands still; and ``/readyz``: 503
        also while the loop waits for Kafka.
    host, port : where to listen; port 0 takes a free one.

    Raises
    ------
    OSError : the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_TIMEOUT_S

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                case "/healthz":
                    self._answer_health(_stalled(liveness))
                case "/readyz":
                    self._answer_health(_stalled(liveness) + ([liveness.waits_for] if liveness.waits_for else []))
                case _:
                    self._answer(404, "text/plain; charset=utf-8", b"/metrics, /healthz and /readyz are here\n")

        def _answer_health(self, why: list[str]) -> None:
            body = json.dumps({"ok": not why, "why": why}, separators=(",", ":")).encode()
            self._answer(503 if why else 200, "application/json", body)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape every few seconds is not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server


def _stalled(liveness: Liveness) -> list[str]:
    stalled_s = liveness.stalled_s()
    return [f"the loop stands still for {stalled_s:.0f} s"] if stalled_s >= STALLED_S else []
