"""Many events of one service as one record, column by column; docs/packed.md specifies the format."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from serinus.event import KINDS, MAX_INTEGER, MAX_NAME, Arguments, Emitted

PREFIX = b"\xc1SP\x01"
MAX_EVENTS = 4_096
MAX_NAMES = 256
MAX_BYTES = 262_144

_FLAGS = {(error, kind): int(error) + 2 * at for error in (False, True) for at, kind in enumerate(KINDS)}
_WIDTHS = (("B", 2**8), ("H", 2**16), ("I", 2**32), ("Q", 2**64))
_TRIED_FIRST = 8


class NotPackableError(Exception):
    """These events do not fit one pack, or one of them is not plainly what it should be."""


class Packer:
    """Packs events of one service.

    Parameters
    ----------
    service: name of the service.
    hash_unit: gives the 16 hex digits that stand for a unit.

    Examples
    --------
    >>> packer = Packer("chat", hash_unit=lambda unit: "459aa926dcc0087f")
    >>> event = ("v2", 1000, "request", False, 12.5, None, None, "", None, None, None)
    >>> record = packer.pack([event, event])
    >>> record[:4], msgspec.msgpack.decode(record[4:])["n"]
    (b'\\xc1SP\\x01', 2)
    """

    def __init__(self, service: str, hash_unit: Callable[[str], str]) -> None:
        self._service = service
        self._hash_unit = hash_unit
        self._encode = msgspec.msgpack.Encoder().encode

    def pack(self, events: Sequence[Arguments]) -> bytes:
        """Return the record of some events, at least one.

        Raises
        ------
        NotPackableError: an argument is not plainly what it should be, or the pack would pass a limit of the format.
        """
        if len(events) > MAX_EVENTS:
            raise NotPackableError(f"{len(events)} events, allowed: <= {MAX_EVENTS}")
        try:
            record = PREFIX + self._encode(self._columns(Emitted._make(zip(*events, strict=True)), len(events)))
        except Exception as error:  # an argument may be any object and raise anything
            raise NotPackableError(repr(error)) from error
        if len(record) > MAX_BYTES:
            raise NotPackableError(f"{len(record)} bytes, allowed: <= {MAX_BYTES}")
        return record

    def _columns(self, events: Any, n: int) -> dict[str, Any]:
        """The record; ``events`` is one `Emitted` that holds columns."""
        versions, version = _coded(events.version)
        segments, segment = _coded(events.segment, empty_allowed=True)
        base_ms = min(events.ts_ms)
        flags = bytes(map(_FLAGS.__getitem__, zip(events.error, events.kind, strict=True)))
        units = [(at, unit) for at, unit in enumerate(events.unit) if unit]
        found = {
            "service": self._service,
            "n": n,
            "base_ms": base_ms,
            "ts": _integers([one - base_ms for one in _whole(events.ts_ms)]),
            "versions": versions,
            "version": version,
            "segments": segments,
            "segment": segment,
            "flags": flags if any(flags) else b"",
            "latency_ms": _floats(_there(events.latency_ms), n, least=0.0),
            "values": {name: _floats(some, n) for name, some in _by_name(events.values).items()},
            "labels": {name: _label(some, n) for name, some in _by_name(events.labels).items()},
            "unit": _column(b"".join(bytes.fromhex(self._hash_unit(str(unit))) for _, unit in units), units, n),
            "epoch": _some_integers(_there(events.epoch), n),
            "bucket": _some_integers(_there(events.bucket), n),
        }
        return {name: column for name, column in found.items() if column}


Entries = list[tuple[int, Any]]
"""What some events have: the index of each, and what it has, ascending."""


def _there(column: Iterable[Any]) -> Entries:
    return [(at, one) for at, one in enumerate(column) if one is not None]


def _by_name(column: Iterable[Mapping[Any, Any] | None]) -> dict[str, Entries]:
    found: dict[str, Entries] = {}
    for at, one in enumerate(column):
        if one:
            for name, item in one.items():
                found.setdefault(name, []).append((at, item))
    _check_names(found)
    return found


def _check_names(names: Mapping[Any, Any], *, empty_allowed: bool = False) -> None:
    if len(names) > MAX_NAMES:
        raise ValueError(f"{len(names)} names")
    for name in names:
        if not isinstance(name, str) or len(name) > MAX_NAME or not (name or empty_allowed):
            raise TypeError(f"a name {name!r}")


def _coded(column: Sequence[Any], *, empty_allowed: bool = False) -> tuple[list[str], bytes]:
    """The distinct names, and the code of each event's; no codes when all have the first."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(column))}
    _check_names(codes, empty_allowed=empty_allowed)
    return list(codes), bytes(map(codes.__getitem__, column)) if len(codes) > 1 else b""


def _whole(column: Sequence[Any]) -> Sequence[int]:
    if set(map(type, column)) != {int} or min(column) < 0 or max(column) >= MAX_INTEGER:
        raise TypeError("an integer")
    return column


def _integers(found: Sequence[int]) -> bytes:
    largest = max(found)
    kind = next(kind for kind, end in _WIDTHS if largest < end)
    return _little(array(kind, found))


def _some_integers(found: Entries, n: int) -> list[bytes]:
    return _column(_integers(_whole([one for _, one in found])), found, n) if found else []


def _floats(found: Entries, n: int, *, least: float = float("-inf")) -> list[bytes]:
    """Four bytes each where nothing is lost by it, else eight."""
    numbers = [one for _, one in found]
    if not numbers:
        return []
    if not set(map(type, numbers)) <= {float, int} or not all(map(isfinite, numbers)) or min(numbers) < least:
        raise TypeError("a number")
    wide = array("d", numbers)
    if array("d", array("f", wide[:_TRIED_FIRST])) == wide[:_TRIED_FIRST]:
        narrow = array("f", wide)
        if array("d", narrow) == wide:
            return _column(_little(narrow), found, n)
    return _column(_little(wide), found, n)


def _label(found: Entries, n: int) -> list[Any]:
    names, codes = _coded([one for _, one in found], empty_allowed=True)
    return [names, *_column(codes or bytes(len(found)), found, n)]


def _column(data: bytes, found: Entries, n: int) -> list[bytes]:
    """The data, and which events have it unless all have."""
    if len(found) == n:
        return [data]
    return [data, _little(array("H", [at for at, _ in found]))] if found else []


def _little(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
