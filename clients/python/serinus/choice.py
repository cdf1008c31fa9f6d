"""What a router says of one request."""

from __future__ import annotations

from typing import NamedTuple


class Choice(NamedTuple):
    """A version and what led to it, for the request's event.

    Parameters
    ----------
    version: who answers.
    epoch, bucket: None when the fallback answers for want of a lease; a forced version has no bucket.
    segment: as given, or as named by the attributes.
    forced: a tester asked for this version; its event says so and is counted apart.
    shadow: the version that gets a copy of this request, whose answer must not be used; its event is marked too.
    """

    version: str
    epoch: int | None
    bucket: int | None
    segment: str = ""
    forced: bool = False
    shadow: str | None = None
