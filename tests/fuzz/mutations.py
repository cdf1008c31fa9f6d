"""What makes a good record bad: one step somewhere in its tree, or in its bytes."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.fuzz.from_schema import NAMES, NUMBERS, ODD_NAMES

_KEPT_PART = 0.7


def mutated(value: Any, draw: Random) -> Any:
    """A copy with one thing changed somewhere: a type swapped, a number extreme, a name huge, a part gone or twice."""
    if isinstance(value, dict) and value and draw.random() < _KEPT_PART:
        name = draw.choice(list(value))
        return value | {name: mutated(value[name], draw)}
    if isinstance(value, list) and value and draw.random() < _KEPT_PART:
        at = draw.randrange(len(value))
        return [*value[:at], mutated(value[at], draw), *value[at + 1 :]]
    if isinstance(value, dict):
        return _other_map(value, draw)
    if isinstance(value, list):
        return _other_list(value, draw)
    if isinstance(value, bytes) and draw.random() < _KEPT_PART:
        return scrambled(value, draw)
    return _other(value, draw)


def _other_map(value: dict[str, Any], draw: Random) -> Any:
    if not value or draw.random() < 0.2:
        return _other(value, draw)
    name = draw.choice(list(value))
    rest = {other: one for other, one in value.items() if other != name}
    match draw.randrange(4):
        case 0:
            return rest
        case 1:
            return rest | {draw.choice(ODD_NAMES): value[name]}
        case 2:
            return value | {draw.choice(NAMES): value[name]}
        case _:
            return value | {f"{name}{at}": value[name] for at in range(draw.choice((1, 3, 40)))}


def _other_list(value: list[Any], draw: Random) -> Any:
    match draw.randrange(4):
        case 0:
            return _other(value, draw)
        case 1:
            return value * draw.choice((0, 2, 3, 10))
        case 2:
            return value[: draw.randrange(len(value) + 1)]
        case _:
            return value[::-1]


def _other(value: Any, draw: Random) -> Any:
    """Anything in its place."""
    match draw.randrange(9):
        case 0:
            return draw.choice(NAMES)
        case 1:
            return draw.choice(ODD_NAMES)
        case 2 | 3 | 4:
            return draw.choice(NUMBERS)
        case 5:
            return draw.choice((None, True, False, [], {}, "", [[]], {"": {}}))
        case 6:
            return _nested(value, draw.choice((1, 2, 5, 400)))
        case 7:
            return {draw.choice(NAMES): value, draw.choice(ODD_NAMES): value}
        case _:
            return str(value)[:200]


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def scrambled(raw: bytes, draw: Random) -> bytes:
    """Bytes with some of them changed, gone, twice or too many."""
    if not raw:
        return draw.randbytes(draw.randrange(9))
    at, to = sorted(draw.randrange(len(raw) + 1) for _ in range(2))
    match draw.randrange(7):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + raw[to:]
        case 2:
            return raw[:to] + raw[at:]
        case 3:
            return raw[:at] + draw.randbytes(draw.choice((1, 2, 4, 8, 64))) + raw[at:]
        case 4:
            return raw[:at] + draw.choice(_POISON) + raw[at:]
        case _:
            changed = bytearray(raw)
            for _ in range(draw.choice((1, 1, 2, 8))):
                changed[draw.randrange(len(raw))] = draw.randrange(256)
            return bytes(changed)


_POISON = (
    b"\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdd\x7f\xff\xff\xff", b"\xc1", b"\x00", b"NaN", b"1e999",
    b"\\ud800", b"[" * 3000, b'{"a":' * 3000, b"\x91" * 3000, b"\xed\xa0\x80", b"9" * 5000,
)  # fmt: skip
