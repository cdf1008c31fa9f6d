"""The splitter: exact shares, disjoint ranges, ramps that only add units."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.splitter import BUCKETS, Split, bucket_of, split_buckets

CLIENT = Path(__file__).parents[2] / "clients" / "python"
VECTORS: dict[str, Any] = json.loads((CLIENT / "testdata" / "splitter_vectors.json").read_text(encoding="utf-8"))


def murmur3_32(data: bytes) -> int:
    """Straight from the published description (Appleby, 2011), as another language would write it."""

    def rotated(word: int, by: int) -> int:
        return ((word << by) | (word >> (32 - by))) & 0xFFFFFFFF

    def mixed(word: int) -> int:
        return rotated(word * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    state, whole = 0, len(data) // 4 * 4
    for start in range(0, whole, 4):
        state = (
            rotated(state ^ mixed(int.from_bytes(data[start : start + 4], "little")), 13) * 5 + 0xE6546B64
        ) & 0xFFFFFFFF
    if whole < len(data):
        state ^= mixed(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> shift) * factor & 0xFFFFFFFF
    return state ^ state >> 16


def owners_one_by_one(weights: dict[str, int], fallback: str, canaries: list[str]) -> list[str]:
    """The specification bucket by bucket, without any arithmetic of ranges."""
    owner: list[str | None] = [None] * BUCKETS
    count, rest = len(canaries), {}
    for index, version in enumerate(canaries):
        home = range(index * BUCKETS // count, (index + 1) * BUCKETS // count)
        walk = home if index % 2 == 0 else home[::-1]
        share = weights.get(version, 0)
        for bucket in walk[:share]:
            owner[bucket] = version
        rest[version] = (max(0, share - len(home)), walk[-1], 1 if index % 2 == 0 else -1)
    for version in canaries:
        left, position, step = rest[version]
        while left:
            position = (position + step) % BUCKETS
            if owner[position] is None:
                owner[position] = version
                left -= 1
    return [version or fallback for version in owner]


def owners_of(split: Split) -> list[str]:
    edges = [0, *split.bounds, BUCKETS]
    pairs = zip(edges, edges[1:], split.versions, strict=False)
    return [version for low, high, version in pairs for _ in range(high - low)]


@st.composite
def shares(draw: st.DrawFn, *, canaries_max: int, each_max: Callable[[int], int]) -> list[int]:
    count = draw(st.integers(1, canaries_max))
    left, drawn = BUCKETS, []
    for _ in range(count):
        share = draw(st.integers(0, min(left, each_max(count))))
        drawn.append(share)
        left -= share
    return draw(st.permutations(drawn))


def split_of(weights: list[int]) -> Split:
    names = [f"c{index}" for index in range(len(weights))]
    return split_buckets(dict(zip(names, weights, strict=True)), fallback="base", canaries=names)


def moved(before: Split, after: Split) -> set[tuple[str, str]]:
    """All (from, to) pairs of buckets that changed hands."""
    probes = {0, *before.bounds, *after.bounds}
    pairs = {(before.version_of(bucket), after.version_of(bucket)) for bucket in probes}
    return {(old, new) for old, new in pairs if old != new}


def raised(data: st.DataObject, weights: list[int], each_max: int) -> tuple[int, list[int]]:
    index = data.draw(st.integers(0, len(weights) - 1))
    room = min(BUCKETS - sum(weights), each_max - weights[index])
    more = list(weights)
    more[index] += data.draw(st.integers(0, max(0, room)))
    return index, more


@pytest.mark.parametrize("vector", VECTORS["buckets"], ids=lambda vector: ascii(vector["unit"])[:20])
def test_bucket_vectors(vector: dict[str, Any]) -> None:
    """The published buckets are those of an independent murmur3 and of the library."""
    data = (vector["salt"] + ":" + vector["unit"]).encode()
    assert murmur3_32(data) * BUCKETS >> 32 == vector["bucket"]
    assert bucket_of(vector["salt"], vector["unit"]) == vector["bucket"]


def test_published_file_is_what_the_generator_writes() -> None:
    """The vectors in the repository are the ones of the code as it is."""
    generator = runpy.run_path(str(CLIENT / "testdata" / "make_splitter_vectors.py"))
    assert generator["vectors"]() == VECTORS


@pytest.mark.parametrize("number", range(len(VECTORS["routes"])))
def test_range_vectors(number: int) -> None:
    """The published ranges are those of a bucket-by-bucket reading of the specification."""
    route = VECTORS["routes"][number]
    named = set(route["weights_ppm"]).union(*(rule["weights_ppm"] for rule in route.get("rules", [])))
    canaries = sorted(named - {route["fallback"]}, key=lambda name: name.encode())
    expected = owners_one_by_one(route["weights_ppm"], route["fallback"], canaries)
    if not any("*" in rule["segments"] for rule in route.get("rules", [])):
        published = [version for low, high, version in route["ranges_by_segment"]["eu"] for _ in range(high - low)]
        assert published == expected
    for choice in route["choices"]:
        bucket = bucket_of(route["salt"], choice["unit"])
        owned = route["ranges_by_segment"][choice["segment"]]
        assert [version for low, high, version in owned if low <= bucket < high] == [choice["version"]]


@settings(max_examples=8, deadline=None)
@given(shares(canaries_max=5, each_max=lambda count: BUCKETS))
def test_ranges_equal_the_specification(weights: list[int]) -> None:
    """Ranges and a bucket-by-bucket walk agree for any number of canaries."""
    names = [f"c{index}" for index in range(len(weights))]
    expected = owners_one_by_one(dict(zip(names, weights, strict=True)), "base", names)
    assert owners_of(split_of(weights)) == expected


@given(shares(canaries_max=8, each_max=lambda count: BUCKETS))
def test_every_version_owns_exactly_its_share(weights: list[int]) -> None:
    """10 % configured is 10 % served, to the bucket."""
    split = split_of(weights)
    edges = [0, *split.bounds, BUCKETS]
    assert edges == sorted(set(edges))
    owned = dict.fromkeys([f"c{index}" for index in range(len(weights))], 0)
    for low, high, version in zip(edges, edges[1:], split.versions, strict=False):
        owned[version] = owned.get(version, 0) + high - low
    assert [owned[f"c{index}"] for index in range(len(weights))] == weights


@settings(max_examples=300)
@given(shares(canaries_max=2, each_max=lambda count: BUCKETS), st.data())
def test_one_or_two_canaries_only_gain(weights: list[int], data: st.DataObject) -> None:
    """With up to two canaries a larger share moves units from the baseline to that canary and nowhere else."""
    index, more = raised(data, weights, BUCKETS)
    assert moved(split_of(weights), split_of(more)) <= {("base", f"c{index}")}


@settings(max_examples=300)
@given(shares(canaries_max=8, each_max=lambda count: BUCKETS // count), st.data())
def test_many_canaries_within_their_homes_only_gain(weights: list[int], data: st.DataObject) -> None:
    """With any number of canaries the same holds while no share exceeds 1/k."""
    index, more = raised(data, weights, BUCKETS // len(weights))
    assert moved(split_of(weights), split_of(more)) <= {("base", f"c{index}")}


@settings(max_examples=300)
@given(shares(canaries_max=6, each_max=lambda count: BUCKETS), st.data())
def test_units_at_home_never_move(weights: list[int], data: st.DataObject) -> None:
    """Whatever the other shares do, the part of a canary's share inside its home keeps its units."""
    _, more = raised(data, weights, BUCKETS)
    before, after, count = split_of(weights), split_of(more), len(weights)
    for index, share in enumerate(weights):
        low, high = index * BUCKETS // count, (index + 1) * BUCKETS // count
        inside = min(share, high - low)
        first, last = (low, low + inside) if index % 2 == 0 else (high - inside, high)
        for bucket in (first, last - 1) if inside else ():
            assert before.version_of(bucket) == after.version_of(bucket) == f"c{index}"


@given(st.text(max_size=20), st.text(max_size=20))
def test_bucket_is_in_range_for_any_text(salt: str, unit: str) -> None:
    """No unit id, lone surrogates included, is refused."""
    assert 0 <= bucket_of(salt, unit) < BUCKETS
    assert 0 <= bucket_of(salt, unit + "\ud800") < BUCKETS


def test_units_are_spread_evenly_and_salts_are_independent() -> None:
    """A share of units is that share, and a new salt draws new units (chi-square-like bounds, fixed inputs)."""
    first = [bucket_of("release-1", f"user-{number}") < 50_000 for number in range(40_000)]
    second = [bucket_of("release-2", f"user-{number}") < 50_000 for number in range(40_000)]
    both = sum(one and two for one, two in zip(first, second, strict=True))
    assert abs(sum(first) - 2_000) < 175
    assert abs(both - 100) < 40


def test_wrong_shares_are_refused() -> None:
    """Shares that do not fit raise and say what was found."""
    with pytest.raises(ValueError, match=r"shares \[600000, 500000\]"):
        split_of([600_000, 500_000])
    with pytest.raises(ValueError, match="must be >= 0"):
        split_of([-1])
