"""Routes in force to be rendered, and what the splitter of the client library makes of them: the oracle."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from schemas.rule import Rule
from schemas.units import PPM
from serinus.route import decode_route, splits_of
from serinus.splitter import BUCKETS
from streams.in_force import InForce

FALLBACK = "v1"
CANARIES = ("v10", "v2", "v3", "v4")
SEGMENTS = ("internal", "beta", "eu", "1e3", "on")


@st.composite
def weights(draw: st.DrawFn, canaries: tuple[str, ...]) -> dict[str, int]:
    """Shares of the canaries; small ones, and all that is left, come as often as any other."""
    left, found = PPM, {}
    for canary in canaries:
        found[canary] = min(left, draw(st.one_of(st.sampled_from([0, 1, 10, PPM]), st.integers(0, PPM))))
        left -= found[canary]
    return found


@st.composite
def routes_in_force(draw: st.DrawFn, *, canaries_max: int = 4, rules_max: int = 4) -> InForce:
    """With rules that name segments twice, nobody or everyone, and that come after one for everyone."""
    canaries = CANARIES[: draw(st.integers(0, canaries_max))]
    shares = draw(weights(canaries))
    segments = st.lists(st.sampled_from([*SEGMENTS, "*"]), max_size=3)
    rules = draw(st.lists(st.builds(Rule, segments.map(tuple), weights(canaries)), max_size=rules_max))
    return InForce(
        "chat",
        {**shares, FALLBACK: PPM - sum(shares.values())},
        FALLBACK,
        epoch=7,
        release_id="chat-2026-11-20T10:00:00Z-1",
        state="ramping",
        salt="3113572e88cee4cd",
        rules=tuple(rules),
    )


def asked_ppm(now: InForce, segment: str) -> dict[str, int]:
    """How many buckets of a segment the splitter gives to each version; those with none are left out."""
    record = {**msgspec.to_builtins(now), "type": "route", "epoch": 7, "issued_at_ms": 0, "lease_ms": 30_000}
    by_segment, default = splits_of(decode_route(msgspec.json.encode(record)))
    split = by_segment.get(segment, default)
    edges = [0, *split.bounds, BUCKETS]
    found: dict[str, int] = {}
    for version, low, high in zip(split.versions, edges, edges[1:], strict=False):
        found[version] = found.get(version, 0) + high - low
    return found
