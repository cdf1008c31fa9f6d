"""Recorded records: one JSON line each, with the place and the log-append time that the broker gave them.

The fields are those that ``kcat -J`` prints. A value that is not text stands in ``payload_base64``.
"""

from __future__ import annotations

import base64

import msgspec


class Recorded(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record of a topic.

    Parameters
    ----------
    ts : Unix ms, log-append time.
    payload : the value as text; None with ``payload_base64``, and for a tombstone.

    >>> decode_recorded(encode_recorded(recorded("t", partition=1, offset=7, ts=5, value=bytes([255])))).value
    b'\\xff'
    """

    partition: int
    offset: int
    ts: int
    topic: str = ""
    payload: str | None = None
    payload_base64: str | None = None

    @property
    def value(self) -> bytes | None:
        """The record's value as bytes."""
        if self.payload_base64 is not None:
            return base64.b64decode(self.payload_base64)
        return None if self.payload is None else self.payload.encode("utf-8", "surrogatepass")


encode_recorded = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Recorded)


def decode_recorded(line: bytes) -> Recorded:
    """One line of a recording; raises :class:`msgspec.DecodeError`."""
    return _decoder.decode(line)


def recorded(topic: str, *, partition: int, offset: int, ts: int, value: bytes | None) -> Recorded:
    """A record as it is written to a recording."""
    text: str | None = None
    encoded: str | None = None
    if value is not None:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            encoded = base64.b64encode(value).decode()
    return Recorded(partition, offset, ts, topic=topic, payload=text, payload_base64=encoded)
