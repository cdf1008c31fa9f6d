"""States as bytes: msgspec, with numpy arrays as [type, shape, data]."""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

T = TypeVar("T")

_KINDS = frozenset({"<f8", "<i8", "<i4", "<u8", "|b1"})


def encode_array(value: Any) -> Any:
    """msgspec's hook for arrays, when encoding."""
    if isinstance(value, np.ndarray):
        array = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return [array.dtype.str, list(array.shape), array.tobytes()]
    raise NotImplementedError(f"a state holds no {type(value).__name__}")


def decode_array(kind: Any, value: Any) -> Any:
    """msgspec's hook for arrays, when decoding. They come out read-only, as states are never changed in place."""
    if get_origin(kind) is not np.ndarray and kind is not np.ndarray:
        raise NotImplementedError(f"a state holds no {kind}")
    dtype, shape, data = value
    if dtype not in _KINDS:
        raise ValueError(f"an array's type is one of {sorted(_KINDS)}, found {dtype!r}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def encode_state(state: Any) -> bytes:
    """A state, or any structure of structs, dicts, tuples, numbers and arrays, as msgpack bytes.

    >>> from detectors.summaries.rate import Rate
    >>> decode_state(encode_state(Rate(3, 1)), Rate)
    Rate(n=3, k=1)
    """
    return _encoder.encode(state)


def decode_state(data: bytes, kind: type[T]) -> T:
    """The state from its bytes. Its arrays are read-only, as states are never changed in place.

    Raises
    ------
    msgspec.ValidationError : when the bytes do not hold that kind of state.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind, dec_hook=decode_array)
    state: T = decoder.decode(data)
    return state
