"""The units of files: durations, shares and fractions are strings there and plain numbers in code."""

from __future__ import annotations

import re
from typing import Any

PPM = 1_000_000
"""Parts per million that make a whole."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Duration(int):
    """Milliseconds; written ``500ms``, ``5s``, ``2m``, ``1h`` or ``7d``.

    >>> Duration.parse("2m")
    120000
    >>> Duration(90_000).text()
    '90s'
    """

    @classmethod
    def parse(cls, text: object) -> Duration:
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"found {text!r}; allowed is a duration such as 500ms, 5s, 2m, 1h or 7d")
        ms = float(match[1]) * _UNIT_MS[match[2]]
        if ms != int(ms):
            raise ValueError(f"found {text!r}; allowed are whole milliseconds")
        return cls(int(ms))

    def text(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self and self % _UNIT_MS[unit] == 0:
                return f"{self // _UNIT_MS[unit]}{unit}"
        return f"{int(self)}ms" if self else "0s"


class Share(int):
    """Parts per million of all traffic; written as a percentage, down to ``0.0001%``.

    >>> Share.parse("5%"), Share.parse("0.001%")
    (50000, 10)
    >>> Share(50_000).text()
    '5%'
    """

    @classmethod
    def parse(cls, text: object) -> Share:
        match = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"found {text!r}; allowed is a percentage such as 5% or 0.001%")
        ppm = round(float(match[1]) * PPM / 100, 6)
        if ppm != int(ppm) or not 0 <= ppm <= PPM:
            raise ValueError(f"found {text!r}; allowed is 0% to 100% in steps of 0.0001%")
        return cls(int(ppm))

    def text(self) -> str:
        return f"{int(self) / PPM * 100:.10g}%"


class Fraction(float):
    """A dimensionless fraction; written as a percentage.

    >>> Fraction.parse("0.5%")
    0.005
    >>> Fraction(0.1).text()
    '10%'
    """

    @classmethod
    def parse(cls, text: object) -> Fraction:
        match = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"found {text!r}; allowed is a percentage such as 0.5% or 10%")
        return cls(float(match[1]) / 100)

    def text(self) -> str:
        return f"{float(self) * 100:.10g}%"


def decode_hook(kind: type, value: object) -> Any:
    """msgspec's hook for the types above, when decoding or converting."""
    if kind is Duration or kind is Share or kind is Fraction:
        return kind.parse(value)
    raise NotImplementedError(f"no way to decode a {kind}")


def encode_hook(value: object) -> Any:
    """msgspec's hook for the types above, when encoding."""
    if isinstance(value, Duration | Share | Fraction):
        return value.text()
    raise NotImplementedError(f"no way to encode a {type(value)}")


def schema_hook(kind: type) -> dict[str, Any]:
    """msgspec's hook for the types above, when making a JSON Schema."""
    if kind is Duration:
        return {
            "type": "string",
            "pattern": f"^{_DURATION.pattern}$",
            "examples": ["500ms", "5s", "2m", "1h", "7d"],
        }
    if kind is Share or kind is Fraction:
        return {"type": "string", "pattern": f"^{_PERCENT.pattern}$", "examples": ["5%", "0.001%"]}
    raise NotImplementedError(f"no JSON Schema for a {kind}")
