"""What the demo's services have answered, counted where it happens, for the table."""

from __future__ import annotations

from collections import deque

RECENT_S = 3.0
"""The share that a version really gets is shown over this long."""


class Tally:
    """Counts of one service. Written by the traffic's thread, read by the table's: each number is a plain attribute.

    >>> tally = Tally(("v1", "v2"))
    >>> tally.add("v2", at_s=0.5, error=True, latency_ms=200.0)
    >>> tally.requests["v2"], tally.error_rate("v2"), tally.latency_ms_mean("v1"), tally.recent_share("v2", now_s=1.0)
    (1, 1.0, None, 1.0)
    """

    def __init__(self, versions: tuple[str, ...]) -> None:
        self.requests = dict.fromkeys(versions, 0)
        self.errors = dict.fromkeys(versions, 0)
        self._latency_ms = dict.fromkeys(versions, 0.0)
        self._recent: deque[tuple[float, str]] = deque()

    @property
    def total(self) -> int:
        """Requests of all versions."""
        return sum(self.requests.values())

    def add(self, version: str, *, at_s: float, error: bool, latency_ms: float) -> None:
        """Count one request, answered at ``at_s`` seconds of the demo."""
        self.requests[version] += 1
        self.errors[version] += error
        self._latency_ms[version] += latency_ms
        self._recent.append((at_s, version))

    def error_rate(self, version: str) -> float | None:
        """Failed requests over all; None without any."""
        n = self.requests[version]
        return self.errors[version] / n if n else None

    def latency_ms_mean(self, version: str) -> float | None:
        """Mean latency, ms; None without requests."""
        n = self.requests[version]
        return self._latency_ms[version] / n if n else None

    def recent(self, *, now_s: float) -> list[str]:
        """The versions that answered in the last :data:`RECENT_S` seconds; older ones are forgotten."""
        while self._recent and self._recent[0][0] < now_s - RECENT_S:
            self._recent.popleft()
        return [version for _, version in self._recent.copy()]

    def recent_share(self, version: str, *, now_s: float) -> float | None:
        """Share of the requests of the last :data:`RECENT_S` seconds; None when there were none."""
        recent = self.recent(now_s=now_s)
        return recent.count(version) / len(recent) if recent else None
