"""Numbers in words, for people who read a decision at three in the morning."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.plan import Plan
from schemas.units import PPM

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_DELAY_UNITS_MS = (
    ("d", 86_400_000, 172_800_000),
    ("h", 3_600_000, 7_200_000),
    ("min", 60_000, 120_000),
    ("s", 1_000, 1_000),
)
"""Unit, its length, and from where on it is used: 90 s say more than 1.5 min."""


def share_text(share_ppm: int) -> str:
    """Parts per million as a percentage.

    >>> share_text(50_000), share_text(10), share_text(1_000_000)
    ('5 %', '0.001 %', '100 %')
    """
    return f"{share_ppm / PPM * 100:.7g} %"


def duration_text(duration_ms: int) -> str:
    """Milliseconds in the two largest units that say something.

    >>> duration_text(123_000), duration_text(3_600_000), duration_text(450), duration_text(90_061_000)
    ('2m 3s', '1h', '450ms', '1d 1h')
    """
    parts: list[str] = []
    rest_ms = duration_ms
    for name, unit_ms in _UNITS_MS:
        if rest_ms >= unit_ms:
            parts.append(f"{rest_ms // unit_ms}{name}")
            rest_ms %= unit_ms
    return " ".join(parts[:2]) or f"{duration_ms}ms"


def delay_text(delay_ms: float) -> str:
    """A delay in the unit that people would use, to two digits.

    >>> [delay_text(ms) for ms in (450.0, 42_000.0, 301_000.0, 11_000_000.0, 180_000_000.0)]
    ['450 ms', '42 s', '5.0 min', '3.1 h', '2.1 d']
    """
    for name, unit_ms, from_ms in _DELAY_UNITS_MS:
        if delay_ms >= from_ms:
            value = delay_ms / unit_ms
            return f"{value:.1f} {name}" if value < 9.95 else f"{value:.0f} {name}"
    return f"{delay_ms:.0f} ms"


def names_text(versions: tuple[str, ...]) -> str:
    """Versions in a row.

    >>> names_text(("v2",)), names_text(("v2", "v3", "v4"))
    ('v2', 'v2, v3 and v4')
    """
    return versions[0] if len(versions) == 1 else f"{', '.join(versions[:-1])} and {versions[-1]}"


def weights_text(weights_ppm: Mapping[str, int], *, word: str = "at") -> str:
    """Which version has which share; equal shares are said once.

    >>> weights_text({"v2": 50_000}), weights_text({"v2": 10_000, "v3": 10_000})
    ('v2 at 5 %', 'v2 and v3 at 1 % each')
    >>> weights_text({"v2": 10_000, "v3": 0}, word="from")
    'v2 from 1 %, v3 from 0 %'
    """
    shares = set(weights_ppm.values())
    if len(weights_ppm) > 1 and len(shares) == 1:
        return f"{names_text(tuple(weights_ppm))} {word} {share_text(shares.pop())} each"
    return ", ".join(f"{version} {word} {share_text(weight)}" for version, weight in weights_ppm.items())


def group_text(plan: Plan, group: int) -> str:
    """For whom a step is, when a release opens by user group.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> group_text(parse_plan(EXAMPLE), 0)
    ''
    """
    groups = plan.ramp.segments
    if not groups:
        return ""
    return " for everyone else" if group == len(groups) - 1 else f" for {names_text(groups[group])}"


def sentence(text: str) -> str:
    """Exactly one full stop at the end.

    >>> sentence("Paused v2 at 5 %"), sentence("looks odd. ")
    ('Paused v2 at 5 %.', 'looks odd.')
    """
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
