"""Which URLs may be called: those that lie below a prefix that this machine's settings allow."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    """Where a URL leads to, its query apart."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]


def place_of(url: str) -> Place:
    """The parts of a URL that :func:`schemas.hook.check_url` has passed.

    >>> place_of("https://Hooks.Example/services/")
    Place(scheme='https', host='hooks.example', port=443, segments=('services',))
    """
    parts = urlsplit(url)
    segments = parts.path.rstrip("/").split("/")[1:]
    return Place(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], tuple(segments))


def allowed(url: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a URL lies below one of the prefixes: same scheme, host and port, and the path by whole segments.

    >>> allowed("https://hooks.example/services/T1", ("https://hooks.example/services",))
    True
    >>> allowed("https://hooks.example/services-of-others", ("https://hooks.example/services",))
    False
    """
    place = place_of(url)
    for prefix in map(place_of, prefixes):
        if prefix[:3] == place[:3] and place.segments[: len(prefix.segments)] == prefix.segments:
            return True
    return False
