"""Packed records: many events of one process in one record, column by column. Specified in docs/packed.md."""

from __future__ import annotations

from typing import Final

import msgspec

PACK_MAGIC: Final = b"\xc1SP"
"""The first bytes. No JSON, no UTF-8 and no msgpack begins with 0xC1."""

PACK_VERSION: Final = 1
PACK_PREFIX: Final = PACK_MAGIC + bytes([PACK_VERSION])

PACK_BYTES_MAX: Final = 256 * 1024
PACK_EVENTS_MAX: Final = 4096
PACK_NAMES_MAX: Final = 256
"""Most versions, segments, metrics, labels, and values of one label, each on its own."""

ERROR: Final = 1
FEEDBACK: Final = 2
"""Bits of a flag."""


class PackedNumbers(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Floats of some events: ``data`` has four or eight bytes for each, ``at`` the index of each, or none for all."""

    data: bytes
    at: bytes = b""


class PackedLabel(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One label of some events: the distinct values, the code of each event's value, and the events as above."""

    names: tuple[str, ...]
    codes: bytes
    at: bytes = b""


class Pack(msgspec.Struct, gc=False, frozen=True):
    """Columns of ``n`` events of one service. Unknown keys are ignored.

    Parameters
    ----------
    ts : for each event, ms after ``base_ms``.
    versions, version : distinct versions, and the code of each event's; no codes: all the first.
    segments, segment : the same of segments.
    flags : for each event, :data:`ERROR` and :data:`FEEDBACK`; none: all requests without error.
    unit : eight bytes for each unit: what events in JSON carry as 16 hex digits.
    epoch, bucket : integers, of some events.
    """

    service: str
    n: int
    base_ms: int
    ts: bytes
    versions: tuple[str, ...]
    version: bytes = b""
    segments: tuple[str, ...] = ("",)
    segment: bytes = b""
    flags: bytes = b""
    latency_ms: PackedNumbers | None = None
    values: dict[str, PackedNumbers] = {}
    labels: dict[str, PackedLabel] = {}
    unit: PackedNumbers | None = None
    epoch: PackedNumbers | None = None
    bucket: PackedNumbers | None = None


_decoder = msgspec.msgpack.Decoder(Pack)


def is_pack(raw: bytes) -> bool:
    """Whether a record says that it is packed, in whatever version.

    >>> is_pack(PACK_PREFIX), is_pack(b'{"service":"chat"}'), is_pack(b"")
    (True, False, False)
    """
    return raw.startswith(PACK_MAGIC)


def decode_pack(raw: bytes) -> Pack:
    """Decode a record that starts with :data:`PACK_PREFIX`; lengths and codes are not checked.

    Raises
    ------
    msgspec.DecodeError : when the rest is not a pack.
    """
    return _decoder.decode(raw[len(PACK_PREFIX) :])
