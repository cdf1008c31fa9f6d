"""Routes are decoded strictly: what is wrong in any way is refused, what is merely new is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.route import InvalidRouteError, decode_route, splits_of

GOOD: dict[str, Any] = {
    "type": "route",
    "service": "chat",
    "release_id": "chat-1",
    "epoch": 4,
    "state": "ramping",
    "weights_ppm": {"v1": 950_000, "v2": 50_000},
    "fallback": "v1",
    "salt": "s",
    "rules": [{"segments": ["internal"], "weights_ppm": {"v2": 1_000_000}}],
    "issued_at_ms": 1_763_632_800_000,
    "lease_ms": 30_000,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_ppm": {"v1": 950_000, "v2": 50_001}}, "weights_ppm sum to 1000001"),
        ({"weights_ppm": {"v1": 950_000}}, "weights_ppm sum to 950000"),
        ({"weights_ppm": {}}, "weights_ppm sum to 0"),
        ({"weights_ppm": {"v1": 1_050_000, "v2": -50_000}}, r"\$\.weights_ppm"),
        ({"weights_ppm": {"v1": 949_999.5, "v2": 50_000.5}}, r"\$\.weights_ppm"),
        ({"weights_ppm": {"v1": "950000", "v2": "50000"}}, r"\$\.weights_ppm"),
        ({"weights_ppm": {"v1": float("nan")}}, "malformed"),
        ({"weights_ppm": {"": 1_000_000}}, "length >= 1"),
        ({"weights_ppm": None}, r"\$\.weights_ppm"),
        ({"fallback": ""}, r"\$\.fallback"),
        ({"fallback": 1}, r"\$\.fallback"),
        ({"epoch": -1}, r"\$\.epoch"),
        ({"epoch": True}, r"\$\.epoch"),
        ({"epoch": 2**63}, r"\$\.epoch"),
        ({"issued_at_ms": "now"}, r"\$\.issued_at_ms"),
        ({"lease_ms": 0}, r"\$\.lease_ms"),
        ({"lease_ms": 10**12}, r"\$\.lease_ms"),
        ({"type": "decision"}, "type is 'decision'"),
        ({"rules": [{"segments": ["a"], "weights_ppm": {"v1": 600_000, "v2": 600_000}}]}, "a rule's weights_ppm sum"),
        ({"rules": [{"segments": "a", "weights_ppm": {}}]}, r"\$\.rules"),
        ({"padding": "x" * 70_000}, "allowed: <= 65536"),
    ],
)
def test_wrong_routes_are_refused(change: dict[str, Any], message: str) -> None:
    """Each kind of wrong route is refused with a text that says where and what."""
    with pytest.raises(InvalidRouteError, match=message):
        decode_route(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("field", ["service", "epoch", "weights_ppm", "fallback", "salt", "issued_at_ms", "lease_ms"])
def test_missing_fields_are_refused(field: str) -> None:
    """No field that decides about traffic has a default."""
    with pytest.raises(InvalidRouteError, match=field):
        decode_route(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_one_exception(record: bytes) -> None:
    """Arbitrary bytes raise InvalidRouteError and nothing else."""
    with pytest.raises(InvalidRouteError):
        decode_route(record)


def test_deep_nesting_is_refused() -> None:
    """A record made to exhaust the stack is just another wrong route."""
    with pytest.raises(InvalidRouteError):
        decode_route(b'{"service":' + b"[" * 60_000)


def test_unknown_fields_are_ignored() -> None:
    """A newer writer may add fields at every level."""
    rule = {"segments": ["a"], "weights_ppm": {"v2": 1}, "note": "new"}
    assert decode_route(json.dumps({**GOOD, "new": {"a": 1}, "rules": [rule]}).encode()).epoch == 4


def test_first_matching_rule_wins_and_leaves_the_rest_to_the_fallback() -> None:
    """Rules are read in order; their remainder is the fallback's, not the weights'."""
    rules = [
        {"segments": ["internal"], "weights_ppm": {"v2": 1_000_000}},
        {"segments": ["beta", "internal"], "weights_ppm": {"v2": 200_000}},
        {"segments": ["*"], "weights_ppm": {"v2": 100}},
        {"segments": ["late"], "weights_ppm": {"v2": 1_000_000}},
    ]
    by_segment, default = splits_of(decode_route(json.dumps({**GOOD, "rules": rules}).encode()))
    assert by_segment["internal"].versions == ("v2",)
    assert (by_segment["beta"].bounds, by_segment["beta"].versions) == ((200_000,), ("v2", "v1"))
    assert by_segment.get("late", default).bounds == default.bounds == (100,)


def test_a_canary_named_only_in_a_rule_keeps_its_home() -> None:
    """The homes are those of all versions in the route, so a rule and the weights agree on every unit."""
    rule = {"segments": ["beta"], "weights_ppm": {"v2": 100_000, "v3": 100_000}}
    by_segment, default = splits_of(decode_route(json.dumps({**GOOD, "rules": [rule]}).encode()))
    assert by_segment["beta"].versions == ("v2", "v1", "v3")
    assert default.versions == ("v2", "v1")
