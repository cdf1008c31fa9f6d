"""What a release is called, and the salt that deals its users."""

from __future__ import annotations

import datetime
import hashlib


def release_id(service: str, *, started_ms: int, number: int) -> str:
    """Service, time and number in one name that people can read.

    Parameters
    ----------
    service : whose release it is.
    started_ms : Unix ms, log time of the start.
    number : how many releases of the service there have been with this one, >= 1.

    >>> release_id("chat", started_ms=1_763_632_800_000, number=1)
    'chat-2025-11-20T10:00:00Z-1'
    """
    second = datetime.datetime.fromtimestamp(started_ms // 1000, tz=datetime.UTC)
    return f"{service}-{second:%Y-%m-%dT%H:%M:%SZ}-{number}"


def salt_of(release: str, together: str | None = None) -> str:
    """The salt of a release: the same after any restart, another for each release.

    Units are dealt anew in each release, so that the same ones are not always the first to meet what is new. Releases
    of several services that go ``together`` deal them alike, so that a request on its way through all of them meets
    the new version in each that has opened it that far.

    >>> salt_of("chat-2025-11-20T10:00:00Z-1") == salt_of("chat-2025-11-20T10:00:00Z-2")
    False
    >>> salt_of("chat-1", "checkout") == salt_of("search-1", "checkout") != salt_of("checkout")
    True
    """
    dealt_by = release if together is None else f"together:{together}"
    return hashlib.blake2b(dealt_by.encode(), digest_size=8).hexdigest()
