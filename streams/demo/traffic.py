"""The thread that serves the demo's requests as they arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from streams.demo.service import Service

PAUSE_S = 0.01


class Traffic:
    """Serves all services until the block is left; a context manager.

    No request waits for its latency: that is a number in its event. The emitters stay open: they belong to the caller.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-traffic", daemon=True)
        self._began_s: float | None = None

    @property
    def now_s(self) -> float:
        """Seconds since the first arrival; 0 before it."""
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s

    def begin(self) -> None:
        """Let the first request arrive now."""
        self._began_s = time.monotonic()
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_S):
            for service in self._services:
                service.serve(self.now_s)

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
