"""From the arguments of `emit` to the bytes on `inference.events`. Runs in the background thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import msgspec

MAX_NAME = 256
MAX_RECORD_BYTES = 65_536
MAX_INTEGER = 2**62
KINDS = ("request", "feedback")
FORCED_SUFFIX = ":forced"
"""Put behind the version of a request that was forced to it, so that it is counted apart and judges nobody."""
_UNIT_BYTES = 8


class InvalidEventError(ValueError):
    """An event that the pipeline would refuse; `reason` is one of a small fixed set, for counting."""

    def __init__(self, reason: str, found: object) -> None:
        super().__init__(f"{reason}: found {str(found)[:100]!r}")
        self.reason = reason


class Emitted(NamedTuple):
    """The arguments of one `emit`, not looked at yet."""

    version: Any
    ts_ms: Any
    kind: Any
    error: Any
    latency_ms: Any
    values: Mapping[Any, Any] | None
    labels: Mapping[Any, Any] | None
    segment: Any
    unit: Any
    epoch: Any
    bucket: Any


Arguments = tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]
"""The same as it waits in the queue."""


class _Event(msgspec.Struct, omit_defaults=True):
    service: str
    version: str
    ts_ms: int
    kind: str = "request"
    error: bool = False
    latency_ms: float | None = None
    values: dict[str, float] | None = None
    labels: dict[str, str] | None = None
    segment: str = ""
    unit: str | None = None
    epoch: int | None = None
    bucket: int | None = None


class EventEncoder:
    """Checks, hashes and encodes events of one service.

    Parameters
    ----------
    service: name of the service.
    unit_key: key of the hash that hides unit ids, 1 to 64 bytes. None: a key made of the service's name, which
        everybody can compute: the ids are then pseudonymous, not secret.

    Raises
    ------
    ValueError: a key of a wrong type or length.

    Examples
    --------
    >>> encoder = EventEncoder("chat", unit_key=b"secret")
    >>> event = Emitted("v2", 1000, "request", False, None, None, None, "", "user-1", None, None)
    >>> encoder.encode(event)
    ('459aa926dcc0087f', b'{"service":"chat","version":"v2","ts_ms":1000,"unit":"459aa926dcc0087f"}')
    """

    def __init__(self, service: str, unit_key: bytes | None = None) -> None:
        if unit_key is not None and not (isinstance(unit_key, bytes) and 1 <= len(unit_key) <= 64):
            raise ValueError("unit_key: expected 1 to 64 bytes, or None")
        self._service = service
        self._key = unit_key or hashlib.blake2b(_utf8(f"serinus-unit:{service}"), digest_size=32).digest()
        self._json = msgspec.json.Encoder()

    def encode(self, event: Emitted) -> tuple[str | None, bytes]:
        """Return the Kafka key (the hashed unit, or None) and the JSON of one event.

        Raises
        ------
        InvalidEventError: something that the pipeline would put to the dead letters.
        """
        checked = self.check(event)
        unit = self.hash_unit(str(checked.unit)) if checked.unit else None
        fields: dict[str, Any] = checked._asdict() | {"unit": unit}
        try:
            record = self._json.encode(_Event(service=self._service, **fields))
        except UnicodeEncodeError as error:
            raise InvalidEventError("invalid_text", error.object) from error
        if len(record) > MAX_RECORD_BYTES:
            raise InvalidEventError("too_large", f"{len(record)} bytes, allowed: <= {MAX_RECORD_BYTES}")
        return unit, record

    def check(self, event: Emitted) -> Emitted:
        """Return the event with plain strings, numbers and dictionaries, as the pipeline wants them.

        Raises
        ------
        InvalidEventError: something that the pipeline would put to the dead letters.
        """
        return Emitted(
            version=_name("version", event.version),
            ts_ms=_integer("ts_ms", event.ts_ms),
            kind=_kind(event.kind),
            error=bool(event.error),
            latency_ms=None if event.latency_ms is None else _latency(event.latency_ms),
            values={_name("values", name): _number("values", number) for name, number in event.values.items()}
            if event.values
            else None,
            labels={_name("labels", name): _text("labels", label) for name, label in event.labels.items()}
            if event.labels
            else None,
            segment=_text("segment", event.segment),
            unit=str(event.unit) if event.unit else None,
            epoch=None if event.epoch is None else _integer("epoch", event.epoch),
            bucket=None if event.bucket is None else _integer("bucket", event.bucket),
        )

    def hash_unit(self, unit: str) -> str:
        """Return the keyed BLAKE2b-64 of a unit id, 16 hex digits (Aumasson et al., 2013; RFC 7693)."""
        return hashlib.blake2b(_utf8(unit), key=self._key, digest_size=_UNIT_BYTES).hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(field: str, found: object) -> str:
    if not isinstance(found, str) or len(found) > MAX_NAME:
        raise InvalidEventError(f"invalid_{field}", found)
    return found


def _name(field: str, found: object) -> str:
    if not found:
        raise InvalidEventError(f"invalid_{field}", found)
    return _text(field, found)


def _kind(found: object) -> str:
    if found not in KINDS:
        raise InvalidEventError("invalid_kind", found)
    return str(found)


def _integer(field: str, found: object) -> int:
    # numpy's integers are no `int`, but they have an index; floats do not.
    if isinstance(found, bool) or not isinstance(found, SupportsIndex) or not 0 <= found.__index__() < MAX_INTEGER:
        raise InvalidEventError(f"invalid_{field}", found)
    return found.__index__()


def _number(field: str, found: object) -> float:
    # numpy's and decimal's numbers convert; a text that looks like a number is a mistake of the caller.
    if type(found) is not float:
        if isinstance(found, str | bytes) or not isinstance(found, SupportsFloat):
            raise InvalidEventError(f"invalid_{field}", found)
        try:
            found = float(found)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise InvalidEventError(f"invalid_{field}", "a number out of range") from error
    if not isfinite(found):
        raise InvalidEventError(f"invalid_{field}", found)
    return found


def _latency(found: object) -> float:
    latency_ms = _number("latency_ms", found)
    if latency_ms < 0:
        raise InvalidEventError("invalid_latency_ms", found)
    return latency_ms
