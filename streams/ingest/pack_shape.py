"""One packed record by itself: what its bytes are, and whether its columns have the lengths that they must."""

from __future__ import annotations

import re
from collections.abc import Sized
from typing import Final

import numpy as np

from schemas.event import NAME_LENGTH_MAX
from schemas.packed import (
    PACK_BYTES_MAX,
    PACK_EVENTS_MAX,
    PACK_MAGIC,
    PACK_NAMES_MAX,
    PACK_VERSION,
    Pack,
    PackedNumbers,
    decode_pack,
)
from streams.ingest.dead_letters import BEYOND_LIMITS, MALFORMED_PACK, UNKNOWN_VERSION

ALL_EVENTS: Final = np.arange(PACK_EVENTS_MAX, dtype="<u2").tobytes()
"""Indexes of events, two bytes each: the first ``2 * n`` bytes are those of a column that has all events."""

_BASE_MS_MAX: Final = 1 << 53
_CODE_WIDTHS: Final = (1, 2, 4)
_DETAIL_MAX: Final = 300
_AT = re.compile(r" - at `(\$[^`]*)`$")


class Malformed(Exception):  # noqa: N818 - what a pack is, and no error of ours
    """The fault of one pack: a reason of :data:`streams.ingest.dead_letters.REASONS`, the place, and what was found."""

    def __init__(self, reason: str, path: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}: {detail}")
        self.reason, self.path, self.detail = reason, path, detail


def read_pack(raw: bytes) -> Pack:
    """Decode one record that starts with :data:`schemas.packed.PACK_MAGIC`.

    Raises
    ------
    Malformed : when it is no pack, or a column or a dictionary has not the length that it must have.
    """
    if len(raw) > PACK_BYTES_MAX:
        raise Malformed(BEYOND_LIMITS, "$", f"found {len(raw)} bytes, allowed: <= {PACK_BYTES_MAX}")
    version = raw[len(PACK_MAGIC) : len(PACK_MAGIC) + 1]
    if version != bytes([PACK_VERSION]):
        raise Malformed(UNKNOWN_VERSION, "$", f"found {version.hex() or 'nothing'}, known: {PACK_VERSION:02x}")
    try:
        pack = decode_pack(raw)
    except Exception as error:  # whatever a decoder raises on foreign bytes is the record's fault, never ours
        at = _AT.search(str(error))
        raise Malformed(MALFORMED_PACK, at.group(1) if at else "$", str(error)[:_DETAIL_MAX]) from error
    if not _is_usual(pack):
        _check(pack)
    return pack


def check_name(name: str, path: str, *, empty_allowed: bool = False) -> None:
    """Check one name as that of an event in JSON is checked; raises :class:`Malformed`."""
    if len(name) > NAME_LENGTH_MAX:
        raise Malformed(f"name longer than {NAME_LENGTH_MAX} characters", path)
    if not name and not empty_allowed:
        raise Malformed("empty name", path)


def _is_usual(pack: Pack) -> bool:
    """Whether a pack has the shape that nearly all have: it passes :func:`_check` then, at a third of the time."""
    n, latency_ms = pack.n, pack.latency_ms
    floats = (4 * n, 8 * n)
    for numbers in pack.values.values():
        if numbers.at or len(numbers.data) not in floats:
            return False
    for label in pack.labels.values():
        if label.at or len(label.codes) != n or not 0 < len(label.names) <= PACK_NAMES_MAX:
            return False
    return (
        0 < n <= PACK_EVENTS_MAX
        and -_BASE_MS_MAX <= pack.base_ms <= _BASE_MS_MAX
        and len(pack.ts) == n
        and len(pack.version) in (0, n)
        and len(pack.segment) in (0, n)
        and len(pack.flags) in (0, n)
        and 0 < len(pack.versions) <= PACK_NAMES_MAX
        and 0 < len(pack.segments) <= PACK_NAMES_MAX
        and len(pack.values) <= PACK_NAMES_MAX
        and len(pack.labels) <= PACK_NAMES_MAX
        and (latency_ms is None or (not latency_ms.at and len(latency_ms.data) in floats))
        and pack.unit is None
        and pack.epoch is None
        and pack.bucket is None
    )


def _check(pack: Pack) -> None:
    n = pack.n
    if not 0 < n <= PACK_EVENTS_MAX:
        raise Malformed(BEYOND_LIMITS, "$.n", f"found {n}, allowed: 1 to {PACK_EVENTS_MAX}")
    if not -_BASE_MS_MAX <= pack.base_ms <= _BASE_MS_MAX:
        raise Malformed("number out of range", "$.base_ms", f"found {pack.base_ms}")
    _check_data(pack.ts, n, _CODE_WIDTHS, "$.ts")
    for codes, path in ((pack.version, "$.version"), (pack.segment, "$.segment")):
        if codes:
            _check_data(codes, n, _CODE_WIDTHS, path)
    if pack.flags:
        _check_data(pack.flags, n, (1,), "$.flags")
    _check_some(pack.versions, "$.versions", least=1)
    _check_some(pack.segments, "$.segments", least=1)
    _check_some(pack.values, "$.values")
    for name, numbers in pack.values.items():
        _check_column(numbers, n, (4, 8), f"$.values.{name[:64]}")
    _check_some(pack.labels, "$.labels")
    for name, label in pack.labels.items():
        path = f"$.labels.{name[:64]}"
        _check_some(label.names, path, least=1)
        _check_data(label.codes, _entries(label.at, n, path), _CODE_WIDTHS, path)
    for column, widths, path in (
        (pack.latency_ms, (4, 8), "$.latency_ms"),
        (pack.unit, (8,), "$.unit"),
        (pack.epoch, (1, 2, 4, 8), "$.epoch"),
        (pack.bucket, (1, 2, 4, 8), "$.bucket"),
    ):
        if column is not None:
            _check_column(column, n, widths, path)


def _check_some(names: Sized, path: str, *, least: int = 0) -> None:
    if not least <= len(names) <= PACK_NAMES_MAX:
        raise Malformed(BEYOND_LIMITS, path, f"found {len(names)} names, allowed: {least} to {PACK_NAMES_MAX}")


def _check_column(column: PackedNumbers, n: int, widths: tuple[int, ...], path: str) -> None:
    _check_data(column.data, _entries(column.at, n, path), widths, path)


def _entries(at: bytes, n: int, path: str) -> int:
    """How many events a column has."""
    if not at:
        return n
    if len(at) % 2 or len(at) > 2 * n:
        raise Malformed(
            MALFORMED_PACK, path, f"found {len(at)} bytes of indexes, allowed: two each, of at most {n} events"
        )
    return len(at) // 2


def _check_data(data: bytes, entries: int, widths: tuple[int, ...], path: str) -> None:
    width, rest = divmod(len(data), entries)
    if rest or width not in widths:
        allowed = " or ".join(map(str, widths))
        raise Malformed(MALFORMED_PACK, path, f"found {len(data)} bytes for {entries} events, allowed: {allowed} each")
