"""Kinds of records that no event can be made of, with the reason and the place that the dead letter must name."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

HOUR_MS = 3600 * 1000
MINUTE_MS = 60 * 1000


class Kind(NamedTuple):
    """One kind: its name, the record, and what its dead letter says."""

    name: str
    raw: bytes | None
    reason: str
    path: str


def kinds(now_ms: int) -> list[Kind]:
    """All kinds; ``now_ms`` is about the time at which they will be appended, Unix ms."""
    good: dict[str, Any] = {"service": "chat", "version": "v1", "ts_ms": now_ms}
    return [*_not_json(good), *_not_events(), *_missing(good), *_mistyped(good), *_numbers(good), *_names(good, now_ms)]


def _json(good: dict[str, Any], **changes: object) -> bytes:
    return json.dumps(good | changes).encode()


def _spliced(good: dict[str, Any], field: str, literal: bytes) -> bytes:
    """A record with one field whose value is written as it stands: JSON's own writer would refuse to."""
    return json.dumps(good).encode()[:-1] + b',"%s":%s}' % (field.encode(), literal)


def _not_json(good: dict[str, Any]) -> list[Kind]:
    whole = _json(good, segment="eu")
    reason = "not JSON"
    return [
        Kind("plain text", b"hello", reason, "$"),
        Kind("empty record", b"", reason, "$"),
        Kind("blanks", b"   \n", reason, "$"),
        Kind("truncated in a string", whole[:-3], reason, "$"),
        Kind("truncated in a number", whole.partition(b', "segment"')[0], reason, "$"),
        Kind("two objects", whole + whole, reason, "$"),
        Kind("single quotes", str(good).encode(), reason, "$"),
        Kind("trailing comma", whole[:-1] + b",}", reason, "$"),
        Kind("comment", b"// nothing\n" + whole, reason, "$"),
        Kind("byte order mark", b"\xef\xbb\xbf" + whole, reason, "$"),
        Kind("protobuf", b"\x0a\x04chat\x12\x02v1", reason, "$"),
        Kind("NaN", _spliced(good, "latency_ms", b"NaN"), reason, "$"),
        Kind("Infinity", _spliced(good, "latency_ms", b"Infinity"), reason, "$"),
        Kind("minus Infinity", _spliced(good, "values", b'{"x":-Infinity}'), reason, "$"),
        Kind("bad escape", _spliced(good, "segment", rb'"\q"'), reason, "$"),
        Kind("UTF-16", json.dumps(good).encode("utf-16"), "not UTF-8", "$"),
        Kind("Latin-1 in a name", _spliced(good, "segment", b'"caf\xe9"'), "not UTF-8", "$"),
        Kind("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not UTF-8", "$"),
    ]


def _not_events() -> list[Kind]:
    return [
        Kind("tombstone", None, "no value", "$"),
        Kind("array", b'[{"service":"chat"}]', "not an object", "$"),
        Kind("number", b"42", "not an object", "$"),
        Kind("string", b'"chat"', "not an object", "$"),
        Kind("null", b"null", "not an object", "$"),
    ]


def _missing(good: dict[str, Any]) -> list[Kind]:
    fields = ("service", "version", "ts_ms")
    rest = {field: {name: value for name, value in good.items() if name != field} for field in fields}
    return [Kind(f"no {field}", _json(rest[field]), "missing field", f"$.{field}") for field in fields]


def _mistyped(good: dict[str, Any]) -> list[Kind]:
    wrong: dict[str, object] = {
        "service": 7,
        "version": None,
        "ts_ms": "now",
        "kind": "response",
        "error": "false",
        "latency_ms": "12",
        "values": [1, 2],
        "labels": "stop",
        "segment": ["eu"],
        "unit": 12,
        "epoch": 1.5,
        "bucket": "3",
    }
    found = [Kind(f"mistyped {k}", _json(good, **{k: v}), "wrong type", f"$.{k}") for k, v in wrong.items()]
    return [
        *found,
        Kind("ts_ms not whole", _json(good, ts_ms=1.5), "wrong type", "$.ts_ms"),
        Kind("value not a number", _json(good, values={"a": 1, "b": "2"}), "wrong type", "$.values.b"),
        Kind("label not a string", _json(good, labels={"a": "x", "b": 2}), "wrong type", "$.labels.b"),
        Kind("nested too deeply", _spliced(good, "deep", b"[" * 5000 + b"]" * 5000), "nested too deeply", "$"),
    ]


def _numbers(good: dict[str, Any]) -> list[Kind]:
    beyond = "number out of range"
    return [
        Kind("negative latency", _json(good, latency_ms=-0.5), "negative latency", "$.latency_ms"),
        Kind("1e999", _spliced(good, "latency_ms", b"1e999"), beyond, "$.latency_ms"),
        Kind("1e999 among values", _spliced(good, "values", b'{"ok":1,"x":1e999}'), beyond, "$.values.x"),
        Kind("1e200", _json(good, latency_ms=1e200), beyond, "$.latency_ms"),
        Kind("-1e200 among values", _json(good, values={"x": -1e200}), beyond, "$.values.x"),
    ]


def _names(good: dict[str, Any], now_ms: int) -> list[Kind]:
    long, reason = "x" * 257, "name longer than 256 characters"
    ahead, behind = ("ts_ms more than 5 minutes after the log time", "ts_ms more than 24 hours before the log time")
    return [
        Kind("empty service", _json(good, service=""), "empty name", "$.service"),
        Kind("empty version", _json(good, version=""), "empty name", "$.version"),
        Kind("empty metric", _json(good, values={"": 1}), "empty name", "$.values."),
        Kind("long service", _json(good, service=long), reason, "$.service"),
        Kind("long segment", _json(good, segment=long), reason, "$.segment"),
        Kind("long metric", _json(good, values={long: 1}), reason, f"$.values.{long[:64]}"),
        Kind("long label", _json(good, labels={"reason": long}), reason, "$.labels.reason"),
        Kind("too early", _json(good, ts_ms=now_ms - 24 * HOUR_MS - MINUTE_MS), behind, "$.ts_ms"),
        Kind("too late", _json(good, ts_ms=now_ms + 20 * MINUTE_MS), ahead, "$.ts_ms"),
        Kind("ts_ms of 30 digits", _json(good, ts_ms=10**29), ahead, "$.ts_ms"),
        Kind("seconds instead of ms", _json(good, ts_ms=now_ms // 1000), behind, "$.ts_ms"),
        Kind("larger than 64 KiB", _json(good, unit="u" * 65_536), "record larger than 64 KiB", "$"),
    ]
