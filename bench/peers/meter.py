"""The clock of a peer, and what a peer says in the end. Imports nothing: peers live in environments of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

WARM_SHARE = 4
"""One event in so many warms the peer up and is not timed: half of the first seconds of Java is its compiler."""


class Meter:
    """Counts handled events and times those after the warm-up.

    Parameters
    ----------
    total : events in the topic.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._warm = total // WARM_SHARE
        self._seen = 0
        self._begun: tuple[int, int, float] | None = None
        self._ended: tuple[int, int, float] | None = None

    def saw(self, events: int = 1) -> bool:
        """Some more were handled; True when that was all."""
        self._seen += events
        if self._begun is None and self._seen >= self._warm:
            self._begun = self._now()
        elif self._ended is None and self._seen >= self._total:
            self._ended = self._now()
        return self._seen >= self._total

    def report(self, counts: Mapping[str, int]) -> str:
        """One line of JSON: how many events were timed, their wall and CPU time, and n by key and pane.

        Raises
        ------
        RuntimeError : when not all events were handled, or all at once.
        """
        if self._begun is None or self._ended is None:
            raise RuntimeError(f"handled {self._seen} of {self._total} events: too few, or all in one batch")
        events, wall_ns, cpu_s = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        return json.dumps({"events": events, "seconds": wall_ns / 1e9, "cpu_seconds": cpu_s, "counts": dict(counts)})

    def _now(self) -> tuple[int, int, float]:
        return self._seen, time.perf_counter_ns(), time.process_time()
