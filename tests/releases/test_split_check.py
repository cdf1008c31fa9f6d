"""The sample-ratio check: units counted once, under the route that led them; a broken split is an ERROR."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.state_codec import decode_state, encode_state
from detectors.units_seen import UnitsSeen
from releases import split_check
from releases.assessment import assess
from releases.judge import asked, start_judge
from releases.ruling import rule
from releases.split_check import EPOCHS_KEPT, SETTLED_MS, UNITS_KEPT, SplitSeen, follow, see, start_split, ticked
from releases.split_evidence import split_broken, split_evidence
from schemas.decision import State
from schemas.evidence import Verdict
from schemas.plan import Plan, parse_plan
from schemas.route import RENEW_MS, Route
from schemas.rule import Rule
from serinus.splitter import split_buckets

PLAN = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 5%, hold: 1m}, {weight: 30%, hold: 1m}]}
metrics: [{name: error_rate, margin: 2%}]
"""

PPM = 1_000_000


def plan_of(canaries: str = "[v2]") -> Plan:
    return parse_plan(PLAN.replace("[v2]", canaries), file="plan.yaml")


def route_of(epoch: int, *, at_ms: int = 0, rules: tuple[Rule, ...] = (), **weights: int) -> Route:
    shares = {"v1": PPM - sum(weights.values()), **weights}
    return Route("chat", "chat-1", epoch, State.RAMPING, shares, "v1", "salt", at_ms, rules=rules)


class Crowd:
    """Users with a place each; who asks for the first time under a route goes where its split says."""

    def __init__(self, seed: int, *, size: int = 100_000) -> None:
        self.rng = np.random.default_rng(seed)
        self.bucket = self.rng.integers(0, PPM, size)
        self.hash = np.unique(self.rng.integers(0, 2**64, 2 * size, dtype=np.uint64))
        self.rng.shuffle(self.hash)

    def come(
        self, n: int, *, share: float, epoch: int = -1, buckets: bool = False, segment: str = "", start: int = 0
    ) -> UnitsSeen:
        """``n`` of the users from ``start`` on, a random order of whom is nobody's concern."""
        who = np.arange(start, start + n)
        who = who[np.argsort(self.hash[who])]
        versions = tuple("v2" if bucket < share * PPM else "v1" for bucket in self.bucket[who].tolist())
        named = self.bucket[who] if buckets else np.full(n, -1)
        return UnitsSeen(self.hash[who], versions, (segment,) * n, np.full(n, epoch), named)


def told(plan: Plan, *routes: Route) -> SplitSeen:
    split = start_split(plan)
    for route in routes:
        split = follow(split, route)
    return split


def verdict_of(plan: Plan, split: SplitSeen) -> Verdict | None:
    found = split_evidence(plan, split)
    assert split_broken(plan, split) is (found is not None and found.verdict is Verdict.ERROR)
    return None if found is None else found.verdict


def test_a_split_as_asked_is_fine_and_half_of_it_is_an_error() -> None:
    """2,000 users at 5 %: as asked PASS with the shares, half of it ERROR with how rarely chance does that."""
    plan, crowd = plan_of(), Crowd(1)
    split = told(plan, route_of(1, v2=50_000))
    healthy = split_evidence(plan, see(plan, split, crowd.come(2_000, share=0.05, epoch=1), now_ms=1_000))
    assert healthy is not None
    assert healthy.verdict is Verdict.PASS
    assert healthy.sentence.endswith(" %), 5 % were asked for")
    assert "of 2,000 users went to v2 (95 %: " in healthy.sentence
    low, high = healthy.effect_low, healthy.effect_high
    assert low is not None and high is not None and low < 0.0 < high
    broken = split_evidence(plan, see(plan, split, crowd.come(2_000, share=0.025, epoch=1), now_ms=1_000))
    assert broken is not None
    assert broken.verdict is Verdict.ERROR
    assert broken.sentence.startswith("sample-ratio: 2.")
    assert "of 2,000 users went to v2 (95 %: " in broken.sentence
    assert "5 % were asked for; at most 1 in" in broken.sentence
    assert broken.effect_high is not None and broken.effect_high < 0.0


def test_a_unit_counts_once() -> None:
    """However often its users come back, a healthy split stays healthy, and counts stay."""
    plan, crowd = plan_of(), Crowd(2)
    split = told(plan, route_of(1, v2=50_000))
    units = crowd.come(200, share=0.06, epoch=1)
    once = see(plan, split, units, now_ms=1_000)
    again = once
    for _ in range(50):
        again = see(plan, again, units, now_ms=1_000)
    assert encode_state(again) == encode_state(once)


def test_a_ramp_adds_up() -> None:
    """Users first seen under different routes are compared with the share of their own route."""
    plan, crowd = plan_of(), Crowd(3)
    split = told(plan, route_of(1, v2=50_000), route_of(2, v2=500_000, at_ms=60_000))
    split = see(plan, split, crowd.come(3_000, share=0.05, epoch=1), now_ms=60_000)
    split = see(plan, split, crowd.come(3_000, share=0.5, epoch=2, start=3_000), now_ms=61_000)
    found = split_evidence(plan, split)
    assert found is not None
    assert (found.verdict, found.n_canary + found.n_baseline) == (Verdict.PASS, 6_000)
    assert found.baseline == pytest.approx(0.275)


def test_a_rule_is_a_stratum_of_its_own() -> None:
    """Users of a segment with a rule are compared with the rule's share."""
    plan, crowd = plan_of(), Crowd(4)
    rules = (Rule(("internal",), {"v2": 900_000}),)
    split = told(plan, route_of(1, rules=rules, v2=50_000))
    split = see(plan, split, crowd.come(1_000, share=0.9, epoch=1, segment="internal"), now_ms=1_000)
    split = see(plan, split, crowd.come(1_000, share=0.05, epoch=1, start=1_000), now_ms=1_000)
    assert verdict_of(plan, split) is Verdict.PASS


def test_without_an_epoch_only_a_settled_route_counts() -> None:
    """Right after a change nobody knows which route led a user; later the route in force did."""
    plan, crowd = plan_of(), Crowd(5)
    split = told(plan, route_of(1, v2=50_000))
    units = crowd.come(2_000, share=0.05)
    early = see(plan, split, units, now_ms=SETTLED_MS - 1)
    assert split_evidence(plan, early) is None
    for at_ms in range(0, SETTLED_MS + 1, RENEW_MS):
        early = follow(early, route_of(1, v2=50_000, at_ms=at_ms))
    assert verdict_of(plan, see(plan, early, units, now_ms=SETTLED_MS)) is Verdict.PASS
    paused = follow(early, route_of(1, v2=50_000, at_ms=10 * SETTLED_MS))
    assert split_evidence(plan, see(plan, paused, units, now_ms=10 * SETTLED_MS + 1)) is None


def test_the_fallback_of_a_lapsed_lease_is_no_broken_split() -> None:
    """The worker was away: routers sent everybody to the baseline, without an epoch. It reads that afterwards."""
    plan, crowd = plan_of(), Crowd(7)
    routes = [route_of(1, at_ms=at_ms, v2=100_000) for at_ms in range(0, 120_000, RENEW_MS)]
    split = told(plan, *routes)
    split = see(plan, split, crowd.come(1_000, share=0.1, epoch=1), now_ms=60_000)
    split = see(plan, split, crowd.come(2_000, share=0.0, start=1_000), now_ms=119_000)
    assert verdict_of(plan, split) is Verdict.PASS
    split = see(plan, split, crowd.come(2_000, share=0.02, epoch=1, start=3_000), now_ms=119_500)
    assert verdict_of(plan, split) is Verdict.ERROR


def test_while_nobody_ticks_no_route_is_in_force() -> None:
    """The same where routers tell no epochs: the worker reads of its absence by the ticks that are missing."""
    plan, crowd = plan_of(), Crowd(7)
    split = told(plan, route_of(1, v2=100_000))
    for now_ms in range(1_000, 200_000, 1_000):
        away = 100_000 < now_ms < 140_000
        split = split if away else ticked(split, now_ms)
        split = split if now_ms % RENEW_MS else follow(split, route_of(1, at_ms=now_ms, v2=100_000))
        share = 0.0 if 130_000 < now_ms <= 142_000 else 0.1
        split = see(plan, split, crowd.come(40, share=share, start=now_ms // 25), now_ms=now_ms)
    assert verdict_of(plan, split) is Verdict.PASS
    found = split_evidence(plan, split)
    # A lease after the start until two renewals were missed, and again a lease after the ticks came back.
    assert found is not None
    assert found.n_baseline + found.n_canary == 40 * (86 + 25)


def test_an_unknown_epoch_and_another_version_are_left_out() -> None:
    """A route that is not of this release, and a version that is not of its plan, say nothing of the split."""
    plan, crowd = plan_of(), Crowd(6)
    split = told(plan, route_of(7, v2=50_000))
    assert split_evidence(plan, see(plan, split, crowd.come(500, share=0.05, epoch=6), now_ms=0)) is None
    others = crowd.come(500, share=0.05, epoch=7)
    others = msgspec.structs.replace(others, version=("v0",) * 500)
    assert split_evidence(plan, see(plan, split, others, now_ms=0)) is None


def test_a_silent_canary_is_not_a_broken_split() -> None:
    """A canary that answers nobody is silent, and the limits on silence deal with it."""
    plan, crowd = plan_of(), Crowd(7)
    split = see(plan, told(plan, route_of(1, v2=500_000)), crowd.come(3_000, share=0.0, epoch=1), now_ms=0)
    assert verdict_of(plan, split) is Verdict.PASS


def test_a_user_on_the_wrong_version_is_seen_exactly() -> None:
    """Where events say bucket and epoch a router with another salt is found with few users, at the right share."""
    plan, crowd = plan_of(), Crowd(8)
    split = told(plan, route_of(1, v2=200_000))
    units = crowd.come(60, share=0.2, epoch=1, buckets=True)
    assert verdict_of(plan, see(plan, split, units, now_ms=0)) is Verdict.PASS
    salted = msgspec.structs.replace(units, bucket=crowd.rng.permutation(units.bucket))
    found = split_evidence(plan, see(plan, split, salted, now_ms=0))
    assert found is not None
    assert found.verdict is Verdict.ERROR
    assert "users of the canaries are not on the version that their route gives them" in found.sentence


@given(
    shares=st.lists(st.integers(0, 300_000), min_size=1, max_size=3),
    bucket=st.integers(0, PPM - 1),
)
def test_owners_are_those_of_the_splitter(shares: list[int], bucket: int) -> None:
    """Inside their homes the canaries own what the routers' splitter gives them."""
    names = [f"v{index + 2}" for index in range(len(shares))]
    plan = plan_of(f"[{', '.join(names)}]")
    weights = dict(zip(names, shares, strict=True))
    route = split_check.Asked(1, 0, weights)
    owner = split_check._owner(plan, split_check._Unit("v1", "", bucket, route))
    assert owner == split_buckets(weights, fallback="v1", canaries=names).version_of(bucket)


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), min_size=1, max_size=12))
def test_who_comes_again_is_known(beats: list[list[int]]) -> None:
    """Whatever order users come in, each is counted once and remembered in the order of hashes."""
    crowd, plan = Crowd(5, size=100), plan_of()
    split = told(plan, route_of(1, v2=300_000))
    for beat in beats:
        who = np.array(beat)
        who = who[np.argsort(crowd.hash[who])]
        rest = ("v1",) * who.size, ("",) * who.size, np.full(who.size, 1), np.full(who.size, -1)
        split = see(plan, split, UnitsSeen(crowd.hash[who], *rest), now_ms=SETTLED_MS)
    came = np.unique(crowd.hash[np.array(sorted({user for beat in beats for user in beat}))])
    np.testing.assert_array_equal(split.counted, came)
    assert split.ratio.n[0] == came.size


def test_what_is_kept_is_bounded() -> None:
    """Of many users a bounded sample is remembered, what was counted stays, and the split is still fine."""
    plan, crowd = plan_of(), Crowd(9)
    split = told(plan, *(route_of(epoch, v2=50_000) for epoch in range(3 * EPOCHS_KEPT)))
    assert len(split.asked) == EPOCHS_KEPT
    for start in range(0, 60_000, 250):
        split = see(plan, split, crowd.come(250, share=0.05, epoch=3 * EPOCHS_KEPT - 1, start=start), now_ms=0)
    assert UNITS_KEPT // 4 < split.counted.size <= UNITS_KEPT
    assert split.ratio.n[0] > UNITS_KEPT
    assert verdict_of(plan, split) is Verdict.PASS
    assert len(encode_state(split)) < 100_000
    assert encode_state(decode_state(encode_state(split), SplitSeen)) == encode_state(split)


def test_healthy_splits_are_left_alone() -> None:
    """Of 200 healthy releases with 4,000 users each none is called broken at any look: alpha is one in a thousand,
    so another seed fails with a chance below 1 in 5."""
    plan, crowd = plan_of(), Crowd(10)
    for release in range(200):
        crowd.bucket = crowd.rng.integers(0, PPM, crowd.bucket.size)
        split = told(plan, route_of(1, v2=50_000))
        for start in range(0, 4_000, 500):
            split = see(plan, split, crowd.come(500, share=0.05, epoch=1, start=start), now_ms=0)
            assert verdict_of(plan, split) is Verdict.PASS, release


def mixed(parts: dict[str, UnitsSeen]) -> UnitsSeen:
    """Users of several segments in one sample."""
    hashes = np.concatenate([units.hash for units in parts.values()])
    order = np.argsort(hashes)
    versions = [version for units in parts.values() for version in units.version]
    segments = [name for name, units in parts.items() for _ in units.version]
    epochs, buckets = (
        np.concatenate([getattr(units, column) for units in parts.values()])[order] for column in ("epoch", "bucket")
    )
    return UnitsSeen(
        hashes[order], tuple(versions[i] for i in order), tuple(segments[i] for i in order), epochs, buckets
    )


@pytest.mark.parametrize("buckets", [False, True])
@pytest.mark.parametrize("in_two", [False, True])
def test_the_segment_where_it_arises_is_named(buckets: bool, in_two: bool) -> None:
    """One service of four loses half of the canary's users: its segment is in the row; two that do are no one place."""
    plan, crowd = plan_of(), Crowd(12)
    names = ["app", "web", "tv", "car"]
    lossy = set(names[:2] if in_two else names[:1])
    units = {
        name: crowd.come(3_000, share=0.5, epoch=1, buckets=buckets, start=3_000 * at) for at, name in enumerate(names)
    }
    for name in lossy:
        served = tuple(
            "v1" if h % 2 else v for h, v in zip(units[name].hash.tolist(), units[name].version, strict=True)
        )
        units[name] = msgspec.structs.replace(units[name], version=served)
    split = see(plan, told(plan, route_of(1, v2=500_000)), mixed(units), now_ms=0)
    found = split_evidence(plan, split)
    assert found is not None
    assert found.verdict is Verdict.ERROR
    assert found.segment == ("" if in_two else "app")
    assert ("in segment app" in found.sentence) is not in_two
    assert found.n_baseline + found.n_canary == (12_000 if in_two else 3_000)
    assert split_broken(plan, decode_state(encode_state(split), SplitSeen))


def test_a_group_with_a_rule_is_where_its_rule_is_broken() -> None:
    """Internal users alone have a share that can tell; nobody else has one yet."""
    plan, crowd = plan_of(), Crowd(13)
    rules = (Rule(("internal",), {"v2": 500_000}),)
    units = {
        "internal": crowd.come(400, share=0.25, epoch=1),
        "beta": crowd.come(4_000, share=0.0, epoch=1, start=400),
    }
    split = see(plan, told(plan, route_of(1, rules=rules)), mixed(units), now_ms=0)
    found = split_evidence(plan, split)
    assert found is not None
    assert (found.verdict, found.segment) == (Verdict.ERROR, "internal")


def test_segments_add_up_to_the_whole() -> None:
    """What is known by segment is what is known of all, however the users came."""
    plan, crowd = plan_of(), Crowd(14)
    split = told(plan, route_of(1, v2=100_000))
    for start in range(0, 3_000, 100):
        parts = {"a": crowd.come(60, share=0.1, epoch=1, buckets=True, start=start)}
        parts["b"] = crowd.come(40, share=0.2, epoch=1, buckets=True, start=start + 60)
        split = see(plan, split, mixed(parts), now_ms=0)
    whole = split_check.together(plan, split.places.values())
    np.testing.assert_allclose(whole.ratio.log_e, split.ratio.log_e)
    assert (whole.checked, whole.misplaced) == (split.checked, split.misplaced)
    assert split.misplaced > 0


def test_a_router_that_lags_one_epoch_is_no_broken_split() -> None:
    """Half of the routers follow the route before for a while: their users name its epoch and count by its share.
    Were they held against the newest route, the split would look broken."""
    plan, crowd = plan_of(), Crowd(15)
    split = told(plan, route_of(1, v2=50_000), route_of(2, v2=300_000, at_ms=60_000))
    late = crowd.come(1_000, share=0.05, epoch=1, buckets=True)
    ahead = crowd.come(1_000, share=0.3, epoch=2, buckets=True, start=1_000)
    both = see(plan, see(plan, split, late, now_ms=61_000), ahead, now_ms=61_000)
    assert verdict_of(plan, both) is Verdict.PASS
    lying = msgspec.structs.replace(late, epoch=np.full(1_000, 2))
    assert verdict_of(plan, see(plan, split, lying, now_ms=61_000)) is Verdict.ERROR


def test_forced_requests_are_another_versions() -> None:
    """Testers who are sent to v2 are not looked at, and count when they come by themselves."""
    plan, crowd = plan_of(), Crowd(16)
    split = told(plan, route_of(1, v2=50_000))
    testers = crowd.come(2_000, share=1.0, epoch=1)
    testers = msgspec.structs.replace(testers, version=("v2:forced",) * 2_000)
    after = see(plan, split, testers, now_ms=0)
    assert split_evidence(plan, after) is None
    after = see(plan, after, crowd.come(2_000, share=0.05, epoch=1), now_ms=1_000)
    found = split_evidence(plan, after)
    assert found is not None
    assert (found.verdict, found.n_baseline + found.n_canary) == (Verdict.PASS, 2_000)


def test_the_judge_says_error() -> None:
    """A broken split makes the verdict ERROR, with the sentence; the gates' own verdicts stay in the evidence."""
    plan, crowd = plan_of(), Crowd(11)
    state = asked(start_judge(plan), route_of(1, v2=50_000))
    split = see(plan, state.split, crowd.come(3_000, share=0.02, epoch=1), now_ms=0)
    state = msgspec.structs.replace(state, split=split)
    said = assess(plan, state, running=("v2",), for_share_ppm=PPM)
    assert said.verdict is Verdict.ERROR
    assert said.reason.startswith("sample-ratio: ")
    assert {row.metric for row in said.evidence if row.role == "gate"} == {"error_rate", "sample-ratio"}
    assert rule(plan, state, running=("v2",), for_share_ppm=PPM).verdict is Verdict.ERROR
