"""Which partition of ``canary.inputs`` a service lives on: the same answer as Kafka's Java client gives for the key."""

from __future__ import annotations

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 with the seed of Kafka's Java client, as an unsigned integer.

    Source: A. Appleby, MurmurHash2 (2008); ``org.apache.kafka.common.utils.Utils.murmur2`` fixes the seed.

    >>> murmur2(b"foobar")
    3504634814
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if whole < length:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(service: str, partitions: int) -> int:
    """The partition of a topic keyed by service.

    Parameters
    ----------
    service : its name; hashed as UTF-8.
    partitions : how many partitions the topic has, at least 1.

    >>> partition_of("chat", 4)
    2
    """
    return (murmur2(service.encode()) & 0x7FFFFFFF) % partitions
