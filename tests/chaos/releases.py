"""Releases that run while everything else breaks: one stays on its ramp, one is rolled back again and again."""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from itertools import cycle
from types import TracebackType

from tests.e2e.pipeline import Worker
from tests.e2e.plans import stages

HEALTHY, BROKEN = "healthy", "broken"
_EVERY_S = 1.0
_STEPS = {
    HEALTHY: (("5%", "10s"), ("20%", "30m")),
    BROKEN: (("20%", "10m"),),
}


class Releases:
    """Starts a release of each service whenever it has none, at whichever worker answers; a context manager."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = cycle(workers)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="releases")

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            for service, steps in _STEPS.items():
                path = f"/v1/services/{urllib.parse.quote(service)}/release"
                try:
                    # Refused while one is running, which is most of the time.
                    next(self._workers).post(path, stages(service, *steps).encode(), timeout_s=5.0)
                except (OSError, http.client.HTTPException):
                    continue

    def __enter__(self) -> Releases:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
