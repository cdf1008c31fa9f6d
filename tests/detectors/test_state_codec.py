"""States as bytes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.arrays import Bins, Flags, Floats, Ints
from detectors.state_codec import decode_state, encode_state


class Held(msgspec.Struct, frozen=True, eq=False):
    """One array of each kind, nested as states nest them."""

    floats: Floats
    ints: Ints
    bins: Bins
    flags: Flags
    nested: dict[str, tuple[Floats, ...]] = {}


HELD = Held(
    np.array([[1.5, -np.inf, np.nan], [0.1 + 0.2, 5e-324, 1.7e308]]),
    np.array([2**62, -1], dtype=np.int64),
    np.zeros((0,), dtype=np.int32),
    np.array([True, False]),
    {"v2": (np.array(3.0), np.zeros((2, 0)))},
)


def test_arrays_come_back_bit_for_bit() -> None:
    """Shape, type and every bit survive: infinities, NaN, subnormals, empty and zero-dimensional arrays."""
    back = decode_state(encode_state(HELD), Held)
    assert encode_state(back) == encode_state(HELD)
    for name in ("floats", "ints", "bins", "flags"):
        before, after = getattr(HELD, name), getattr(back, name)
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes())
    assert [array.shape for array in back.nested["v2"]] == [(), (2, 0)]


def test_restored_arrays_cannot_be_changed() -> None:
    """A state is a value: writing into a restored array raises."""
    back = decode_state(encode_state(HELD), Held)
    with pytest.raises(ValueError, match="read-only"):
        back.floats[0, 0] = 1.0


def test_what_is_no_state_is_refused() -> None:
    """Objects that no state holds, wrong bytes, and array types that no state has."""
    with pytest.raises(NotImplementedError, match="complex"):
        encode_state(3j)
    with pytest.raises(msgspec.DecodeError):
        decode_state(b"\xc1", Held)
    odd = msgspec.structs.replace(HELD, floats=np.array(["text"]))
    with pytest.raises(msgspec.ValidationError, match="type"):
        decode_state(encode_state(odd), Held)
