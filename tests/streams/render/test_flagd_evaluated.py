"""The rendered flag in flagd's own evaluator: who gets which version."""

from __future__ import annotations

from collections import Counter
from math import sqrt

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from schemas.rule import Rule
from schemas.units import PPM
from streams.in_force import InForce
from streams.render.flagd import flags
from tests.streams.render.routes import asked_ppm

UNITS = [f"user-{number}" for number in range(4_000)]
SIGMAS = 4
"""The units are the same in each run: what is within the interval once is so for ever."""


def evaluated(now: InForce, unit: str | None, **attributes: str) -> str:
    core = FlagdCore()
    core.set_flags(flags(now, flag="chat", segment="segment"))
    return evaluate(core, unit, **attributes)


def evaluate(core: FlagdCore, unit: str | None, **attributes: str) -> str:
    return core.resolve_string_value("chat", "code", EvaluationContext(unit, attributes)).value


def served(now: InForce, **attributes: str) -> dict[str, str]:
    core = FlagdCore()
    core.set_flags(flags(now, flag="chat", segment="segment"))
    return {unit: evaluate(core, unit, **attributes) for unit in UNITS}


def route(weights_ppm: dict[str, int], *rules: Rule) -> InForce:
    return InForce("chat", weights_ppm, "v1", epoch=7, release_id="chat-1", salt="s", rules=rules)


RULES = (Rule(("internal",), {"v2": PPM}), Rule(("internal", "beta", ""), {"v2": 300_000, "v3": 100_000}))
GROUPS = route({"v1": 900_000, "v2": 70_000, "v3": 30_000}, *RULES)


def test_shares() -> None:
    """Each segment has its rule's shares, and everyone else the route's, within the binomial interval."""
    for segment in ("internal", "beta", "", "eu"):
        counts = Counter(served(GROUPS, segment=segment).values())
        assert counts.total() == len(UNITS)
        for version in ("v1", "v2", "v3"):
            share = asked_ppm(GROUPS, segment).get(version, 0) / PPM
            deviation = sqrt(share * (1 - share) / len(UNITS))
            assert abs(counts[version] / len(UNITS) - share) <= SIGMAS * deviation, (segment, version)


def test_a_ramp_only_adds() -> None:
    """Whoever has a canary keeps it while both grow, by a rule or by the weights; and one unit has one version."""
    steps = [
        route({"v1": 1_000_000 - v2 - v3, "v2": v2, "v3": v3})
        for v2, v3 in ((0, 0), (10_000, 0), (10_000, 50_000), (250_000, 50_000), (500_000, 500_000))
    ]
    before = served(steps[0])
    assert set(before.values()) == {"v1"}
    for step in steps[1:]:
        after = served(step)
        assert {unit: version for unit, version in before.items() if version != "v1"}.items() <= after.items()
        before = after
    assert set(before.values()) == {"v2", "v3"}


def test_without_a_key_or_a_lease() -> None:
    """Nothing is drawn for those that have no key: the fallback, but where a rule leaves no choice."""
    for unit in (None, ""):
        assert evaluated(GROUPS, unit, segment="eu") == "v1"
        assert evaluated(GROUPS, unit) == "v1"
        assert evaluated(GROUPS, unit, segment="internal") == "v2"
    assert evaluated(route({"v1": 0, "v2": PPM}), None) == "v2"
    assert evaluated(InForce("chat", {"v1": PPM}, "v1", "no route for chat has arrived"), "user-1") == "v1"


def test_a_request_without_the_attribute_is_one_without_a_segment() -> None:
    """As for a router, to which nobody has named a segment."""
    assert served(GROUPS) == served(GROUPS, segment="")
    assert served(GROUPS) != served(GROUPS, segment="eu")
