"""What the pipeline knows of a unit: a hash of it, and the bucket in which all its requests are counted together."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Final

import mmh3

UNIT_BUCKETS: Final = 200
"""Buckets that units are hashed into: enough for a variance over buckets that is right within a tenth, and one byte."""

UNITS_SAMPLED_MAX: Final = 256
"""Units of one service in one slice that are sampled: those with the smallest hashes."""

DIGEST_BYTES: Final = 16

UNIT_SEED: Final = 0x7565_7362


def unit_digests(units: Iterable[str]) -> bytes:
    """The digest of each unit, one after the other, in bulk.

    A digest is murmur3-128 (x64, seed 0x75657362) of the unit's UTF-8 bytes: two little-endian 64-bit words. The first
    is the unit's hash for samples; the upper half of the second, ``hash32 * 200 >> 32``, is its bucket. The splitter
    hashes otherwise (32 bits, seed 0, with the release's salt before the unit), so a bucket holds units of every
    version in the split's proportion.

    Parameters
    ----------
    units : as events carry them.

    Returns
    -------
    DIGEST_BYTES for each unit.

    >>> digest = unit_digests(["u-1"])
    >>> len(digest), int.from_bytes(digest[:8], "little") == unit_hash("u-1")
    (16, True)

    Source: Appleby (2011), MurmurHash3_x64_128.
    """
    return b"".join(map(mmh3.hash_bytes, units, repeat(UNIT_SEED)))


def unit_hash(unit: str) -> int:
    """The unit's hash for samples, within 0..2⁶⁴-1.

    >>> f"{unit_hash('u-1'):016x}"
    'd20e1f6a225a8ec5'
    """
    return int.from_bytes(unit_digests((unit,))[:8], "little")


def unit_bucket(unit: str) -> int:
    """The bucket of a unit, within 0..UNIT_BUCKETS-1.

    >>> unit_bucket("u-1"), unit_bucket("u-2")
    (28, 13)
    """
    return int.from_bytes(unit_digests((unit,))[12:], "little") * UNIT_BUCKETS >> 32
