"""Dead letters: records that could not be used, kept whole, with the reason."""

from __future__ import annotations

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, tag="dead_letter", tag_field="type"):
    """One refused record. ``reason`` comes from a small fixed set; ``detail`` says more, for people."""

    reason: str
    path: str
    topic: str
    partition: int
    offset: int
    raw_base64: str
    detail: str = ""
    truncated: bool = False


encode_dead_letter = msgspec.json.Encoder().encode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
