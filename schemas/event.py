"""The event: one request that a service answered, or one piece of feedback on it."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

NAME_LENGTH_MAX = 256
"""Longest service, version, segment, metric, label name or label value, in characters."""

RECORD_BYTES_MAX = 64 * 1024
"""Largest record of ``inference.events``; a larger one is a dead letter."""

TS_AHEAD_MAX_MS = 5 * 60 * 1000
"""An event may claim to be at most this much later than its record's log time."""

TS_BEHIND_MAX_MS = 24 * 60 * 60 * 1000
"""An event may claim to be at most this much earlier than its record's log time."""

OTHER = "other"
"""The name into which everything beyond a cardinality bound is folded."""

FORCED_SUFFIX = ":forced"
"""A version's name ends so in the events of requests that were forced to it: they are counted, and judge nobody."""

VERSIONS_MAX = 8
SEGMENTS_MAX = 64
METRICS_MAX = 32
LABELS_MAX = 64
"""Bounds per service: versions, segments, numeric metrics, and values of one label."""


class InferenceEvent(msgspec.Struct, gc=False):
    """One answered request, or feedback on one. Unknown fields are ignored: producers may be newer than we are.

    Feedback carries the version that served the request; its ``latency_ms`` is its delay, the time from the request's
    answer to the feedback, and is counted as ``feedback.latency_ms``.

    The constructor checks nothing; the decoder checks types, and :func:`faults` checks what types cannot say.

    >>> event = decode_event(b'{"service":"chat","version":"v2","ts_ms":1700000000000,"latency_ms":12.5}')
    >>> event.latency_ms, event.error, event.segment
    (12.5, False, '')
    """

    service: str
    version: str
    ts_ms: int
    kind: Literal["request", "feedback"] = "request"
    error: bool = False
    latency_ms: float | None = None
    values: dict[str, float] | None = None
    labels: dict[str, str] | None = None
    segment: str = ""
    unit: str | None = None
    epoch: int | None = None
    bucket: int | None = None


_decoder = msgspec.json.Decoder(InferenceEvent)
decode_event = _decoder.decode
encode_event = msgspec.json.Encoder().encode


def _name_fault(value: str, path: str, *, empty_allowed: bool = False) -> tuple[str, str] | None:
    if len(value) > NAME_LENGTH_MAX:
        return f"name longer than {NAME_LENGTH_MAX} characters", path
    if not value and not empty_allowed:
        return "empty name", path
    return None


def faults(event: InferenceEvent, log_ms: int) -> tuple[str, str] | None:
    """What is wrong with a decoded event, or None.

    Parameters
    ----------
    event : as decoded.
    log_ms : Unix ms, the record's log-append time. The limits on ``ts_ms`` compare with it and never with a wall
        clock, so that every reader of the log refuses the same events.

    Returns
    -------
    ``(reason, path)`` of the first fault, or None. Reasons come from a small fixed set.

    >>> e = InferenceEvent(service="chat", version="v1", ts_ms=1000, latency_ms=-1.0)
    >>> faults(e, log_ms=1000)
    ('negative latency', '$.latency_ms')
    """
    found = _name_fault(event.service, "$.service") or _name_fault(event.version, "$.version")
    found = found or _name_fault(event.segment, "$.segment", empty_allowed=True)
    if found:
        return found
    if event.ts_ms - log_ms > TS_AHEAD_MAX_MS:
        return "ts_ms more than 5 minutes after the log time", "$.ts_ms"
    if log_ms - event.ts_ms > TS_BEHIND_MAX_MS:
        return "ts_ms more than 24 hours before the log time", "$.ts_ms"
    if event.latency_ms is not None:
        if not isfinite(event.latency_ms):
            return "number not finite", "$.latency_ms"
        if event.latency_ms < 0:
            return "negative latency", "$.latency_ms"
    return _values_fault(event) or _labels_fault(event)


def _values_fault(event: InferenceEvent) -> tuple[str, str] | None:
    for name, value in (event.values or {}).items():
        if not isfinite(value):
            return "number not finite", f"$.values.{name[:64]}"
        if found := _name_fault(name, f"$.values.{name[:64]}"):
            return found
    return None


def _labels_fault(event: InferenceEvent) -> tuple[str, str] | None:
    for name, value in (event.labels or {}).items():
        path = f"$.labels.{name[:64]}"
        if found := _name_fault(name, path) or _name_fault(value, path, empty_allowed=True):
            return found
    return None
