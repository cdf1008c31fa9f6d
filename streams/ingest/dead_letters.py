"""Dead letters: why a record was refused, where in it, and the record itself."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from math import isfinite
from typing import Final

import msgspec

from schemas.dead_letter import DeadLetter
from schemas.event import RECORD_BYTES_MAX, InferenceEvent, decode_event, faults

MAGNITUDE_MAX: Final = 1e100
"""Largest magnitude of a number: beyond it the sum of squares of a slice could leave the range of a float."""

AHEAD: Final = "ts_ms more than 5 minutes after the log time"
BEHIND: Final = "ts_ms more than 24 hours before the log time"
MALFORMED_PACK: Final = "malformed pack"
BEYOND_LIMITS: Final = "pack beyond its limits"
UNKNOWN_VERSION: Final = "unknown pack version"

REASONS: Final = frozenset(
    {
        "no value",
        "record larger than 64 KiB",
        "not UTF-8",
        "not JSON",
        "nested too deeply",
        "not an object",
        "missing field",
        "wrong type",
        "number out of range",
        "number not finite",
        "negative latency",
        "empty name",
        "name longer than 256 characters",
        AHEAD,
        BEHIND,
        MALFORMED_PACK,
        BEYOND_LIMITS,
        UNKNOWN_VERSION,
    }
)
"""Every reason there is. Metrics are counted by reason, so the set is fixed."""

_DETAIL_MAX: Final = 300
_AT = re.compile(r" - at `(\$[^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that could not be used: its row among the records, a reason of :data:`REASONS`, and the place."""

    row: int
    reason: str
    path: str
    detail: str = ""


class _Maps(msgspec.Struct):
    values: dict[str, msgspec.Raw] | None = None
    labels: dict[str, msgspec.Raw] | None = None


_decode_maps = msgspec.json.Decoder(_Maps).decode
_item_decoders = {
    "values": msgspec.json.Decoder(float).decode,
    "labels": msgspec.json.Decoder(str).decode,
}


def refuse(row: int, raw: bytes | None, log_ms: int) -> Refused | None:
    """Judge one record by itself, slowly and exactly. None when there is nothing wrong with it.

    Parameters
    ----------
    row : its row, repeated in the answer.
    raw : its value.
    log_ms : Unix ms, its log-append time.
    """
    if raw is None:
        return Refused(row, "no value", "$", "the record has no value (a tombstone)")
    if len(raw) > RECORD_BYTES_MAX:
        return Refused(row, "record larger than 64 KiB", "$", f"{len(raw)} bytes")
    try:
        event = decode_event(raw)
    except Exception as error:  # whatever a decoder raises on foreign bytes is the record's fault, never ours
        return _undecodable(row, raw, error)
    found = faults(event, log_ms) or _magnitude_fault(event)
    return None if found is None else Refused(row, found[0], found[1])


def _undecodable(row: int, raw: bytes, error: Exception) -> Refused:
    detail = str(error)[:_DETAIL_MAX]
    if isinstance(error, msgspec.ValidationError):
        at = _AT.search(str(error))
        path = at.group(1) if at else "$"
        if missing := _MISSING.search(str(error)):
            return Refused(row, "missing field", f"{path}.{missing.group(1)}", detail)
        if path == "$":
            return Refused(row, "not an object", path, detail)
        reason = "number out of range" if "out of range" in str(error) else "wrong type"
        return Refused(row, reason, _item_path(raw, path), detail)
    if isinstance(error, RecursionError):
        return Refused(row, "nested too deeply", "$", detail)
    if isinstance(error, UnicodeDecodeError) or not _is_utf8(raw):
        return Refused(row, "not UTF-8", "$", detail)
    return Refused(row, "not JSON", "$", detail)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _item_path(raw: bytes, path: str) -> str:
    """Name the item where the decoder says only ``$.values[...]``: a producer has to find it."""
    field = path.removeprefix("$.").removesuffix("[...]")
    if f"$.{field}[...]" != path or field not in _item_decoders:
        return path
    try:
        items: dict[str, msgspec.Raw] = getattr(_decode_maps(raw), field) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return path
    for name, item in items.items():
        try:
            _item_decoders[field](item)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return f"$.{field}.{name[:64]}"
    return path


def _magnitude_fault(event: InferenceEvent) -> tuple[str, str] | None:
    latency_ms = event.latency_ms
    if latency_ms is not None and isfinite(latency_ms) and latency_ms > MAGNITUDE_MAX:
        return "number out of range", "$.latency_ms"
    for name, value in (event.values or {}).items():
        if abs(value) > MAGNITUDE_MAX:
            return "number out of range", f"$.values.{name[:64]}"
    return None


def dead_letter(refused: Refused, raw: bytes | None, *, topic: str, partition: int, offset: int) -> DeadLetter:
    """The record of the dead-letter topic: the first 64 KiB of the refused bytes, and why.

    After a crash the same record may be dead-lettered again; ``(topic, partition, offset)`` tells the copies apart.
    """
    kept = b"" if raw is None else raw[:RECORD_BYTES_MAX]
    return DeadLetter(
        reason=refused.reason,
        path=refused.path,
        topic=topic,
        partition=partition,
        offset=offset,
        raw_base64=b64encode(kept).decode("ascii"),
        detail=refused.detail,
        truncated=raw is not None and len(raw) > RECORD_BYTES_MAX,
    )
