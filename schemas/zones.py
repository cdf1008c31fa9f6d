"""Time zones: from the pinned tzdata package alone, so that neither the machine nor its environment has a say."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all zones."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split())


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The rules of a zone.

    ``ZoneInfo(name)`` would read the machine's files, or those that an environment variable names: two workers could
    then open the same window at different times, and a replay elsewhere would decide otherwise.

    Parameters
    ----------
    name : of the IANA database, e.g. ``Europe/Berlin`` or ``UTC``.

    Raises
    ------
    ValueError : when there is no such zone.

    >>> zone_of("Europe/Berlin").key, zone_of("Mars/Olympus")
    Traceback (most recent call last):
    ValueError: found 'Mars/Olympus'; allowed is a zone such as Europe/Berlin or UTC
    """
    if name not in zone_names():
        raise ValueError(f"found {name!r}; allowed is a zone such as Europe/Berlin or UTC")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
