"""Decoding what somebody else has written: whatever is wrong with it is a :class:`msgspec.DecodeError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(decode: Callable[[bytes], T], raw: bytes) -> T:
    """What ``decode`` makes of foreign bytes.

    msgspec says of a broken string ``UnicodeDecodeError`` and of a deep one ``RecursionError``. Who expects only
    msgspec's own errors dies of such a record, is started again, and reads it again.

    Parameters
    ----------
    decode : of a decoder of msgspec.

    Raises
    ------
    msgspec.DecodeError : the bytes are not what they should be.

    >>> decoded(msgspec.json.Decoder(str).decode, b'"\\xff"')
    Traceback (most recent call last):
    msgspec.DecodeError: not UTF-8
    """
    try:
        return decode(raw)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("not UTF-8") from error
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
