"""Values of the worker's table as bytes: every record says its format and how far it has applied the inputs."""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from detectors.state_codec import decode_array, encode_array
from schemas.decoding import decoded
from schemas.units import decode_hook, encode_hook
from streams.worker.state import STATE_VERSION, Service, Stored
from streams.worker.stored_windows import StoredWindow
from streams.worker.windows import WINDOW_VERSION

CURSOR_VERSION = 1


class UnknownFormatError(ValueError):
    """A record was written by a version of Serinus that this one does not know, or is damaged."""


class Header(msgspec.Struct, frozen=True):
    """What every record begins with, whatever its format."""

    format: int
    applied: int


class ServiceRecord(msgspec.Struct, frozen=True):
    """One service as it is stored, and the input offset from which its open slices can be read again."""

    format: int
    applied: int
    replay_from: int
    stored: Stored


class Cursor(msgspec.Struct, frozen=True):
    """Where to read from for services that are not stored yet: all that began before ``replay_from`` are stored."""

    applied: int
    replay_from: int
    format: int = CURSOR_VERSION


Value = ServiceRecord | StoredWindow | Cursor
T = TypeVar("T", ServiceRecord, StoredWindow, Cursor)

_VERSIONS: dict[type[Value], int] = {
    ServiceRecord: STATE_VERSION,
    StoredWindow: WINDOW_VERSION,
    Cursor: CURSOR_VERSION,
}


def service_record(service: Service) -> ServiceRecord:
    """What a checkpoint stores of a service."""
    stored = service.stored
    return ServiceRecord(stored.format, stored.applied, service.replay_from, stored)


def encode_value(value: Value) -> bytes:
    """A record's value as msgpack."""
    return _encoder.encode(value)


def header_of(raw: bytes) -> Header:
    """Format and progress of a record that may be of any format; raises :class:`UnknownFormatError`."""
    try:
        return decoded(_header_decoder.decode, raw)
    except msgspec.DecodeError as error:
        raise UnknownFormatError(f"not a record of the worker's table: {error}") from error


def decode_value(raw: bytes, kind: type[T]) -> T:
    """The inverse of :func:`encode_value`.

    Raises
    ------
    UnknownFormatError : the format is not the one that this code writes. Nothing is guessed.
    """
    found, known = header_of(raw).format, _VERSIONS[kind]
    if found != known:
        raise UnknownFormatError(f"found format {found}; this version of Serinus reads format {known}")
    try:
        value: T = decoded(_decoders[kind].decode, raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise UnknownFormatError(f"a record of format {found} cannot be read: {error}") from error
    return value


def _encoded(value: Any) -> Any:
    return encode_array(value) if isinstance(value, np.ndarray) else encode_hook(value)


def _decoded(kind: Any, value: Any) -> Any:
    return decode_array(kind, value) if np.ndarray in {kind, get_origin(kind)} else decode_hook(kind, value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encoded)
_header_decoder = msgspec.msgpack.Decoder(Header)
_decoders: dict[type[Value], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind, dec_hook=_decoded) for kind in (ServiceRecord, StoredWindow, Cursor)
}
