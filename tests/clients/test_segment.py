"""Named segments: attributes lead to the segment that the specification says, and what is unknown to none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.segment import NamedSegment, NumberRange, VersionRange, segment_of

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "clients/python/testdata/splitter_vectors.json").read_text(encoding="utf-8")
)
NAMED = msgspec.convert(VECTORS["named_segments"], list[NamedSegment])


@pytest.mark.parametrize("vector", VECTORS["named"], ids=lambda vector: ascii(vector["attributes"]))
def test_named_vectors(vector: dict[str, Any]) -> None:
    """The published segments, written by hand from the specification, are those of the library."""
    assert segment_of(NAMED, vector["attributes"]) == vector["segment"]


ORDER = [
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
    "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip
"""The example of semver.org 2.0.0, item 11.4.4, and what follows it."""


@given(st.integers(0, len(ORDER) - 1), st.integers(0, len(ORDER) - 1), st.integers(0, len(ORDER) - 1))
def test_versions_stand_in_the_published_order(found: int, low: int, high: int) -> None:
    """A version is within a range exactly if its place in the list is."""
    assert VersionRange(ORDER[low], ORDER[high]).holds(ORDER[found]) == (low <= found < high)


@given(
    st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.binary(), st.lists(st.integers())),
    st.sampled_from([VersionRange(), NumberRange()]),
)
def test_no_attribute_is_an_error(found: Any, asked: VersionRange | NumberRange) -> None:
    """Whatever a service hands over, the answer is yes or no."""
    assert asked.holds(found) in {True, False}
    assert segment_of(NAMED, {"app": found, "tokens": found, "tier": found, "email": found}) in {
        "", *(segment.name for segment in NAMED)
    }  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        {"attribute": "a"},
        {"attribute": "a", "equals": "x", "prefix": "x"},
        {"attribute": "a", "regex": ".*"},
        {"attribute": "a", "version": {"from": "first"}},
        {"attribute": "a", "number": {"from": "8"}},
        {"equals": "x"},
    ],
)
def test_what_is_not_understood_is_refused(condition: dict[str, Any]) -> None:
    """A router that does not know a question must not guess its answer."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "n", "when": [condition]}, NamedSegment)
