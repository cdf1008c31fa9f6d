"""When judgement went on: the counts of each service, asked several times a second."""

from __future__ import annotations

import http.client
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count, pairwise
from types import TracebackType

from tests.chaos.load import SEGMENTS
from tests.e2e.pipeline import Worker

_EVERY_S = 0.2
_TIMEOUT_S = 1.5
_STILL_GROWING_MS = 60_000
"""Of each segment the last minute of panes is asked for again: to ask for all of a long run each time costs the workers
more than to count it."""


class Monitor:
    """Asks the workers in turn, one thread for each service; a context manager.

    What is asked is the windows table: a request counts there as soon as the worker has read its report. A segment is a
    source partition of the load, so that one which nobody reads is not hidden behind the others.
    """

    def __init__(self, workers: Iterable[Worker], services: Iterable[str]) -> None:
        self.workers = list(workers)
        self._services = tuple(services)
        self._grown: dict[tuple[str, str], list[tuple[float, int]]] = {
            (service, segment): [] for service in self._services for segment in SEGMENTS
        }
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(name,), name=f"ask-{name}") for name in self._services
        ]

    def _follow(self, service: str) -> None:
        panes: dict[str, Counter[tuple[int, str]]] = {segment: Counter() for segment in SEGMENTS}
        since_ms = int(time.time() * 1000) - _STILL_GROWING_MS
        for number in count():
            if self._stop.wait(_EVERY_S):
                return
            try:
                rows = self.workers[number % len(self.workers)].panes(service, since_ms, _TIMEOUT_S)
            except (OSError, http.client.HTTPException):
                continue  # nobody listens there just now, or it does not answer
            for row in rows:
                panes[row["segment"]][row["start_ms"], row["version"]] = row["n"]
            newest_ms = min(max((at_ms for at_ms, _ in its), default=0) for its in panes.values())
            since_ms = max(since_ms, newest_ms - _STILL_GROWING_MS)
            for segment, its in panes.items():
                requests = its.total()
                grown = self._grown[service, segment]
                if not grown or requests > grown[-1][1]:
                    grown.append((time.monotonic(), requests))

    def resumed_s(self, sent: Mapping[tuple[str, str], int]) -> float | None:
        """When the last service and segment had more requests than these (monotonic); None: not yet.

        Parameters
        ----------
        sent : what had been sent when something happened; one more is a request that was sent after it.
        """
        moments = []
        for key, grown in self._grown.items():
            place = bisect_right(grown, sent.get(key, 0), key=lambda entry: entry[1])
            if place == len(grown):
                return None
            moments.append(grown[place][0])
        return max(moments)

    def longest_pause_s(self, *, since_s: float, until_s: float) -> float:
        """The longest time between two moments at which a count grew, of all services and segments."""
        longest = 0.0
        for grown in self._grown.values():
            before = [at_s for at_s, _ in grown if at_s <= since_s]
            moments = [*before[-1:], *(at_s for at_s, _ in grown if since_s < at_s <= until_s), until_s]
            longest = max([longest, *(b - a for a, b in pairwise(moments))])
        return longest

    def __enter__(self) -> Monitor:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
