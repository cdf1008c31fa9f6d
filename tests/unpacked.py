"""An independent reader of packed records, event by event in plain Python: what the columns must agree with."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOATS = {4: "f", 8: "d"}


def unpacked(raw: bytes) -> list[dict[str, Any]]:
    """The events of a good pack, as JSON objects would be decoded."""
    assert raw[:4] == b"\xc1SP\x01"
    pack = msgspec.msgpack.decode(raw[4:])
    n = pack["n"]
    versions = _numbers(pack.get("version", bytes(n)), n, _CODES)
    segments = _numbers(pack.get("segment", bytes(n)), n, _CODES)
    names = pack.get("segments", [""])
    events = [
        {
            "service": pack["service"],
            "version": pack["versions"][versions[at]],
            "segment": names[segments[at]],
            "ts_ms": pack["base_ms"] + after_ms,
            "error": bool(flags & 1),
            "kind": "feedback" if flags & 2 else "request",
        }
        for at, (after_ms, flags) in enumerate(
            zip(_numbers(pack["ts"], n, _CODES), pack.get("flags", bytes(n)), strict=True)
        )
    ]
    if "latency_ms" in pack:
        _put(events, "latency_ms", *_column(pack["latency_ms"], n, _FLOATS))
    for field in ("epoch", "bucket"):
        if field in pack:
            _put(events, field, *_column(pack[field], n, _CODES))
    for name, column in pack.get("values", {}).items():
        for at, number in zip(*_column(column, n, _FLOATS), strict=True):
            events[at].setdefault("values", {})[name] = number
    for name, (values, *column) in pack.get("labels", {}).items():
        for at, code in zip(*_column(column, n, _CODES), strict=True):
            events[at].setdefault("labels", {})[name] = values[code]
    if "unit" in pack:
        data, *events_of = pack["unit"]
        at = _numbers(events_of[0], len(events_of[0]) // 2, _CODES) if events_of else range(n)
        _put(events, "unit", at, [data[8 * i : 8 * i + 8].hex() for i in range(len(at))])
    return events


def _put(events: list[dict[str, Any]], field: str, at: Any, items: Any) -> None:
    for index, item in zip(at, items, strict=True):
        events[index][field] = item


def _column(column: list[bytes], n: int, kinds: dict[int, str]) -> tuple[Any, Any]:
    data, *events_of = column
    at = _numbers(events_of[0], len(events_of[0]) // 2, _CODES) if events_of else range(n)
    return at, _numbers(data, len(at), kinds)


def _numbers(data: bytes, count: int, kinds: dict[int, str]) -> Any:
    return struct.unpack(f"<{count}{kinds[len(data) // count]}", data)
