"""The splitter: which version answers which unit. Pure arithmetic; the specification is `docs/splitting.md`.

Every unit has one bucket per salt, and every canary grows over the buckets from a fixed anchor in a fixed direction.
So a ramp adds units to a canary and takes none away, and no router needs to remember what it answered before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mmh3

BUCKETS = 1_000_000
"""Number of buckets; one bucket is one part per million of the units."""


def bucket_of(salt: str, unit: str) -> int:
    """Return the bucket of a unit under a salt.

    The hash is murmur3-32 (x86, seed 0, unsigned) of the UTF-8 bytes of ``salt + ":" + unit``; the bucket is
    ``hash * 1_000_000 >> 32``, in integers, so every language gets the same one.

    Parameters
    ----------
    salt: the salt of the release.
    unit: the sticky unit, usually a user id. Lone surrogates are encoded as three bytes each, never refused.

    Returns
    -------
    int in ``[0, 1_000_000)``.

    Examples
    --------
    >>> bucket_of("s", "u")
    532875

    Source: Appleby (2011), MurmurHash3_x86_32.
    """
    digest = mmh3.hash(f"{salt}:{unit}".encode("utf-8", "surrogatepass"), 0, False)
    return digest * BUCKETS >> 32


@dataclass(frozen=True, slots=True)
class Split:
    """Who owns which buckets: version ``versions[i]`` owns ``[bounds[i-1], bounds[i])``, with 0 and 1,000,000 outside.

    Examples
    --------
    >>> split = split_buckets({"v1": 950_000, "v2": 50_000}, fallback="v1", canaries=["v2"])
    >>> split.bounds, split.versions
    ((50000,), ('v2', 'v1'))
    >>> split.version_of(49_999), split.version_of(50_000)
    ('v2', 'v1')
    """

    bounds: tuple[int, ...]
    versions: tuple[str, ...]

    def version_of(self, bucket: int) -> str:
        """Return the version that owns a bucket in ``[0, 1_000_000)``."""
        return self.versions[bisect_right(self.bounds, bucket)]


def split_buckets(weights_ppm: Mapping[str, int], *, fallback: str, canaries: Sequence[str]) -> Split:
    """Lay the canaries' shares over the buckets; what no canary owns belongs to the fallback.

    Canary ``i`` of ``k`` has the home ``[i*10**6//k, (i+1)*10**6//k)``. An even one grows upwards from the low end
    of its home, an odd one downwards from the high end. A share larger than the home goes on in the same direction,
    round the end of the range, over buckets that no canary owns yet; larger shares take them in the canaries' order.

    With one or two canaries a larger weight only ever adds units to its canary. With three or more the same holds as
    long as no share exceeds ``1/k``; beyond it, only units outside the homes can change their canary. (Nothing
    stateless can do better: three canaries would each have to keep half of the buckets to themselves.)

    Parameters
    ----------
    weights_ppm: share of each version in ppm, summing to at most 1,000,000; a missing one is 0.
    fallback: version that answers everything else; its own weight is not read.
    canaries: all other versions of the release in the order of their homes, also those at 0 now.

    Returns
    -------
    A `Split` in which each canary owns exactly its weight's number of buckets.

    Raises
    ------
    ValueError: the canaries' weights are negative or sum to more than 1,000,000.

    Examples
    --------
    >>> split_buckets({"a": 100_000, "b": 300_000}, fallback="v1", canaries=["a", "b"])
    Split(bounds=(100000, 700000), versions=('a', 'v1', 'b'))
    """
    shares = [weights_ppm.get(version, 0) for version in canaries]
    if min(shares, default=0) < 0 or sum(shares) > BUCKETS:
        raise ValueError(f"weights_ppm: shares {shares} of {list(canaries)}; each must be >= 0, the sum <= {BUCKETS}")
    count = len(canaries)
    owned: list[tuple[int, int, str]] = []
    for index, (version, share) in enumerate(zip(canaries, shares, strict=True)):
        low, high = _home(index, count)
        inside = min(share, high - low)
        owned.append((low, low + inside, version) if index % 2 == 0 else (high - inside, high, version))
    for index, (version, share) in enumerate(zip(canaries, shares, strict=True)):
        low, high = _home(index, count)
        if share > high - low:
            owned += _overflow(_free(owned), low if index % 2 else high, index % 2 == 1, share - (high - low), version)
    return _as_split(owned, fallback)


def _home(index: int, count: int) -> tuple[int, int]:
    return index * BUCKETS // count, (index + 1) * BUCKETS // count


def _free(owned: Sequence[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """The gaps between the owned ranges, ascending."""
    gaps, position = [], 0
    for low, high, _ in sorted(owned):
        if low > position:
            gaps.append((position, low))
        position = max(position, high)
    return [*gaps, (position, BUCKETS)] if position < BUCKETS else gaps


def _overflow(
    gaps: list[tuple[int, int]], start: int, downwards: bool, share: int, version: str
) -> list[tuple[int, int, str]]:
    """Take `share` free buckets, walking from `start` in one direction and round the end of the range."""
    # No gap straddles `start`: the canary's home is full and ends there.
    if downwards:
        walk = [gap for gap in reversed(gaps) if gap[1] <= start] + [gap for gap in reversed(gaps) if gap[1] > start]
    else:
        walk = [gap for gap in gaps if gap[0] >= start] + [gap for gap in gaps if gap[0] < start]
    taken = []
    for low, high in walk:
        part = min(share, high - low)
        if part:
            taken.append((high - part, high, version) if downwards else (low, low + part, version))
        share -= part
    return taken


def _as_split(owned: Sequence[tuple[int, int, str]], fallback: str) -> Split:
    pieces = [(low, high, version) for low, high, version in owned if high > low]
    pieces += [(low, high, fallback) for low, high in _free(pieces)]
    pieces.sort()
    merged = [piece for index, piece in enumerate(pieces) if index == 0 or piece[2] != pieces[index - 1][2]]
    return Split(
        bounds=tuple(low for low, _, _ in merged[1:]),
        versions=tuple(version for _, _, version in merged),
    )
