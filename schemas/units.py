"""The units of files: durations, shares, fractions, days and times are strings there and plain numbers in code."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import isfinite
from typing import Any

PPM = 1_000_000
"""Parts per million that make a whole."""

DURATION_DAYS_MAX = 36_500
"""A century: what is longer is a slip, and times that are added to it would leave the range of an int64."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = re.compile(r"{0}(?:-{0})?(?:,{0}(?:-{0})?)*".format(f"(?:{'|'.join(DAY_NAMES)})"))
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
        if ms > DURATION_DAYS_MAX * _UNIT_MS["d"]:
            raise ValueError(f"found {_shown(match[0])}; allowed are up to {DURATION_DAYS_MAX}d")
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
        if not 0 <= ppm <= PPM or ppm != int(ppm):
            raise ValueError(f"found {_shown(match[0])}; allowed is 0% to 100% in steps of 0.0001%")
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
        found = cls(float(match[1]) / 100)
        if not isfinite(found):
            raise ValueError(f"found {_shown(match[0])}; allowed is a finite percentage")
        return found

    def text(self) -> str:
        return f"{float(self) * 100:.10g}%"


class TimeOfDay(int):
    """Minutes since midnight; written ``"09:00"``, up to ``"24:00"``.

    >>> TimeOfDay.parse("17:30")
    1050
    >>> TimeOfDay(540).text()
    '09:00'
    """

    @classmethod
    def parse(cls, text: object) -> TimeOfDay:
        if not isinstance(text, str) or _TIME.fullmatch(text) is None:
            raise ValueError(f"found {text!r}; allowed is a time such as '09:00', in quotes, up to '24:00'")
        hours, minutes = text.split(":")
        return cls(60 * int(hours) + int(minutes))

    def text(self) -> str:
        return f"{self // 60:02}:{self % 60:02}"


class Days(int):
    """Days of the week, bit 0 is Monday; written ``mon-fri``, ``sat,sun`` or ``fri-mon``.

    >>> Days.parse("mon-fri"), [Days.parse("fri-mon").has(day) for day in range(7)]
    (31, [True, False, False, False, True, True, True])
    >>> Days(0b1100001).text(), Days(0b11111).text()
    ('mon,sat,sun', 'mon-fri')
    """

    @classmethod
    def parse(cls, text: object) -> Days:
        if not isinstance(text, str) or _DAYS.fullmatch(text) is None:
            raise ValueError(f"found {text!r}; allowed are days such as mon-fri or sat,sun")
        mask = 0
        for part in text.split(","):
            first, _, last = part.partition("-")
            start, end = DAY_NAMES.index(first), DAY_NAMES.index(last or first)
            for day in range(start, end + 1 if end >= start else end + 8):
                mask |= 1 << day % 7
        return cls(mask)

    def has(self, weekday: int) -> bool:
        """Whether a day is among them; Monday is 0."""
        return bool(self >> weekday & 1)

    def text(self) -> str:
        days = [day for day in range(7) if self.has(day)]
        if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
            return f"{DAY_NAMES[days[0]]}-{DAY_NAMES[days[-1]]}"
        return ",".join(DAY_NAMES[day] for day in days)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


class Moment(int):
    """Unix ms; written as an ISO time with its zone: ``2026-12-01T09:00:00+01:00``.

    >>> Moment.parse("2026-12-01T09:00:00+01:00").text(), Moment.parse("2026-12-01T08:00Z").shown()
    ('2026-12-01T08:00:00Z', 'Tue 2026-12-01 08:00 UTC')
    """

    @classmethod
    def parse(cls, text: object) -> Moment:
        try:
            # YAML makes a time of what looks like one, and JSON does not.
            at = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None or not 1970 <= at.year <= 9998:
            raise ValueError(f"found {str(text)[:40]!r}; allowed is a time with its zone such as 2026-12-01T09:00:00Z")
        return cls(int(at.timestamp()) * 1000)

    def text(self) -> str:
        return datetime.fromtimestamp(self // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def shown(self) -> str:
        """For people."""
        return datetime.fromtimestamp(self // 1000, UTC).strftime("%a %Y-%m-%d %H:%M UTC")


def decode_hook(kind: type, value: object) -> Any:
    """msgspec's hook for the types above, when decoding or converting."""
    if kind in {Duration, Share, Fraction, TimeOfDay, Days, Moment}:
        return kind.parse(value)
    raise NotImplementedError(f"no way to decode a {kind}")


def encode_hook(value: object) -> Any:
    """msgspec's hook for the types above, when encoding."""
    if isinstance(value, Duration | Share | Fraction | TimeOfDay | Days | Moment):
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
    if kind is TimeOfDay:
        return {"type": "string", "pattern": f"^(?:{_TIME.pattern})$", "examples": ["09:00", "17:30"]}
    if kind is Days:
        return {"type": "string", "pattern": f"^{_DAYS.pattern}$", "examples": ["mon-fri", "sat,sun"]}
    if kind is Moment:
        return {"type": "string", "format": "date-time", "examples": ["2026-12-01T09:00:00+01:00"]}
    raise NotImplementedError(f"no JSON Schema for a {kind}")
