"""Events for the tests of ingest."""

from __future__ import annotations

from typing import Any

from schemas.event import InferenceEvent

BASE_MS = 1_763_632_800_000


def event(**fields: Any) -> InferenceEvent:
    """A good event; ``fields`` differ."""
    given: dict[str, Any] = {"service": "chat", "version": "v1", "ts_ms": BASE_MS, "latency_ms": 12.5}
    return InferenceEvent(**(given | fields))
