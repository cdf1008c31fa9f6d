"""What is in force as one line that `deploy/haproxy/serinus.lua` reads. Pure."""

from __future__ import annotations

from urllib.parse import quote

from serinus.splitter import BUCKETS, Split
from streams.in_force import InForce
from streams.routers.splits import splits

FORMAT = 1

MAX_BYTES = 15_000
"""A command of HAProxy's runtime API has to fit into one buffer, 16,384 bytes unless configured otherwise."""


class TooLongError(ValueError):
    """A route with so many names that HAProxy cannot be told it."""


def value(now: InForce, *, until_ms: int, lease_ms: int) -> str:
    """Return ``format/epoch/until/lease/fallback/salt/splits/segments``.

    One value holds all: a request reads it in one look, so none sees half of a change. Splits stand between ``|``,
    the one for segments without a rule first; each is a list of ``end of the range:version``. Segments are
    ``name:number of the split``. Names are percent-encoded.

    Parameters
    ----------
    now : what is in force.
    until_ms : when HAProxy itself returns to the fallback, Unix ms.
    lease_ms : how long after the first sight of the value it does so whatever the wall clock says.

    Raises
    ------
    TooLongError : the value does not fit into one command.

    Examples
    --------
    >>> from schemas.rule import Rule
    >>> rules = (Rule(("in house",), {"v2": 1_000_000}),)
    >>> now = InForce("chat", {"v1": 950_000, "v2": 50_000}, "v1", epoch=7, salt="s", rules=rules)
    >>> value(now, until_ms=1_763_632_830_000, lease_ms=30_000)
    '1/7/1763632830000/30000/v1/s/50000:v2,1000000:v1|1000000:v2/in%20house:2'
    >>> value(InForce("chat", {"v1": 1_000_000}, "v1"), until_ms=0, lease_ms=0)
    '1//0/0/v1//1000000:v1/'
    """
    by_segment, default = splits(now)
    numbers: dict[Split, int] = {default: 1}
    segments = [
        f"{_name(segment)}:{numbers.setdefault(split, len(numbers) + 1)}" for segment, split in by_segment.items()
    ]
    epoch = "" if now.epoch is None else now.epoch
    text = (
        f"{FORMAT}/{epoch}/{until_ms}/{lease_ms}/{_name(now.fallback)}/{_name(now.salt)}/"
        f"{'|'.join(_split(split) for split in numbers)}/{','.join(segments)}"
    )
    if len(text) > MAX_BYTES:
        raise TooLongError(f"the route takes {len(text)} bytes, HAProxy takes {MAX_BYTES} in one command")
    return text


def _split(split: Split) -> str:
    ends = [*split.bounds, BUCKETS]
    return ",".join(f"{end}:{_name(version)}" for end, version in zip(ends, split.versions, strict=True))


def _name(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
