"""The units of packed events, hashed in bulk as if each were the string that an event in JSON carries."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.arrays import Hashes, Ints
from schemas.unit_hash import UNIT_SEED
from streams.ingest.pack_entries import Entries, Integers
from streams.ingest.unit_columns import Route, UnitColumns, columns_of_digests

_C1: Final = np.uint64(0x87C37B91114253D5)
_C2: Final = np.uint64(0x4CF5AD432745937F)
_LENGTH: Final = np.uint64(16)


def pack_units(unit: Entries, epoch: Entries, bucket: Entries, starts: Ints, events: int) -> UnitColumns | None:
    """The units of the events of a batch, or None when no event carries one.

    Parameters
    ----------
    unit : eight bytes for each.
    epoch, bucket : what the events named.
    starts, events : where the events of each pack begin among all, and how many there are.
    """
    if not unit.data:
        return None
    carried = unit.events(starts)
    routes = [(one.events(starts), one.integers()) for one in (epoch, bucket)]

    def route_of(index: int) -> Route:
        first, second = (_at(index, *route) for route in routes)
        return first, second

    words = digests_of_hex(b"".join(unit.data))
    return columns_of_digests(words, None if carried.size == events else carried, events, route_of)


def _at(index: int, event: Ints, number: Integers) -> int | None:
    at = int(np.searchsorted(event, index))
    return int(number[at]) if at < event.size and event[at] == index else None


def digests_of_hex(units: bytes) -> Hashes:
    """:func:`schemas.unit_hash.unit_digests` of units that are 16 hex digits, for all units at once.

    Parameters
    ----------
    units : eight bytes for each unit.

    Returns
    -------
    Two words for each.

    Source: Appleby (2011), MurmurHash3_x64_128, for keys of one block.
    """
    blocks = np.frombuffer(units.hex().encode(), dtype="<u8")
    k1, k2 = blocks[::2], blocks[1::2]
    seed = np.uint64(UNIT_SEED)
    h1 = _turned(seed ^ (_turned(k1 * _C1, 31) * _C2), 27) + seed
    h1 = h1 * np.uint64(5) + np.uint64(0x52DCE729)
    h2 = _turned(seed ^ (_turned(k2 * _C2, 33) * _C1), 31) + h1
    h2 = h2 * np.uint64(5) + np.uint64(0x38495AB5)
    h1, h2 = h1 ^ _LENGTH, h2 ^ _LENGTH
    h1 = h1 + h2
    h2 = h2 + h1
    h1, h2 = _mixed(h1), _mixed(h2)
    h1 = h1 + h2
    digests = np.empty(2 * h1.size, dtype=np.uint64)
    digests[::2], digests[1::2] = h1, h2 + h1
    return digests


def _turned(words: Hashes, bits: int) -> Hashes:
    turned: Hashes = words << np.uint64(bits) | words >> np.uint64(64 - bits)
    return turned


def _mixed(words: Hashes) -> Hashes:
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: Hashes = words ^ words >> np.uint64(33)
    return mixed
