"""The units of a batch of events, hashed in bulk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np

from detectors.arrays import Hashes, Ints
from schemas.unit_hash import UNIT_BUCKETS, unit_digests

_unit: Final = attrgetter("unit")

Route = tuple[int | None, int | None]
"""The epoch and the splitter's bucket that an event named."""


@dataclass(frozen=True, slots=True)
class UnitColumns:
    """The units of events of which at least one carries one.

    Parameters
    ----------
    bucket : of each event's unit, -1 without one.
    hash : uint64, of each event's unit, meaningless without one.
    route_of : what the event of an index named; asked for sampled units alone.
    """

    bucket: Ints
    hash: Hashes
    route_of: Callable[[int], Route]


def units_of(events: Sequence[Any]) -> UnitColumns | None:
    """The units of decoded events, whatever their type is, or None when no event carries one. An empty unit is none."""
    units: list[str | None] = list(map(_unit, events))
    # Counting is many times cheaper than looking at each, and most services send units always or never.
    without = units.count(None) + units.count("")
    if without == len(units):
        return None

    def route_of(index: int) -> Route:
        return events[index].epoch, events[index].bucket

    words = np.frombuffer(unit_digests(filter(None, units)), dtype="<u8")
    carried = np.flatnonzero([bool(unit) for unit in units]) if without else None
    return columns_of_digests(words, carried, len(units), route_of)


def columns_of_digests(
    words: Hashes, carried: Ints | None, events: int, route_of: Callable[[int], Route]
) -> UnitColumns:
    """The columns of units whose digests are known.

    Parameters
    ----------
    words : two for each unit, of :func:`schemas.unit_hash.unit_digests`.
    carried : the events that carry the units; None: all ``events``.
    """
    if carried is None:
        return UnitColumns(_bucket(words[1::2]), words[::2], route_of)
    bucket, hashes = _nothing(events)
    bucket[carried], hashes[carried] = _bucket(words[1::2]), words[::2]
    return UnitColumns(bucket, hashes, route_of)


def hash_units(units: Iterable[str]) -> tuple[Ints, Hashes]:
    """The bucket and the hash of each unit, as events that carry it would have them."""
    words = np.frombuffer(unit_digests(units), dtype="<u8")
    return _bucket(words[1::2]), words[::2]


def join_units(parts: Sequence[UnitColumns | None], starts: Sequence[int], order: Ints) -> UnitColumns | None:
    """The units of events that were decoded in parts.

    Parameters
    ----------
    starts : where each part begins in all parts one after the other.
    order : for each event, where it stands in all parts one after the other.
    """
    if not any(parts):
        return None
    sizes = np.diff([*starts, order.size]).tolist()
    columns = [
        _nothing(size) if one is None else (one.bucket, one.hash) for one, size in zip(parts, sizes, strict=True)
    ]

    def route_of(index: int) -> Route:
        at = int(order[index])
        part = bisect_right(starts, at) - 1
        found = parts[part]
        return (None, None) if found is None else found.route_of(at - starts[part])

    bucket, hashes = (np.concatenate(column) for column in zip(*columns, strict=True))
    return UnitColumns(bucket[order], hashes[order], route_of)


def _nothing(events: int) -> tuple[Ints, Hashes]:
    return np.full(events, -1, dtype=np.int64), np.zeros(events, dtype=np.uint64)


def _bucket(words: Hashes) -> Ints:
    upper = words >> np.uint64(32)
    return (upper * np.uint64(UNIT_BUCKETS) >> np.uint64(32)).astype(np.int64)
