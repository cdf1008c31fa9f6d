"""A ramp under load: no request fails, every share within its interval, no user goes back."""

from __future__ import annotations

import os

import pytest
from scipy.stats import binom

from serinus import bucket_of, split_buckets
from tests.routers.control import SALT
from tests.routers.load import Answer, Tally, versions
from tests.routers.rig import Rig

CHANGES = int(os.environ.get("ROUTER_CHANGES", "25"))
USERS = [f"user-{number}" for number in range(1_000)]
LOOKS = 4


def share_of(step: int) -> int:
    """From 1 % to 50 %, ppm."""
    return 10_000 + 490_000 * step // (CHANGES - 1)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ramp_under_load(rig: Rig) -> None:
    """Every change is taken; HAProxy splits exactly as the client library, nginx by its own hash as widely."""
    rig.publish(0)
    shares_ppm = {rig.control.epoch: 0}
    before: dict[str, str] = {}
    with (
        rig.users.steady(per_s=120) as kept,
        rig.users.steady(per_s=80, keep=False) as fresh,
    ):
        for step in range(CHANGES):
            share_ppm = share_of(step)
            shares_ppm[rig.publish(share_ppm)] = share_ppm
            if step % (CHANGES // LOOKS) == 0 or step == CHANGES - 1:
                answers = rig.users.ask(USERS)
                at_share(rig, answers, share_ppm)
                now = versions(answers)
                assert versions(rig.users.ask(USERS)) == now, "sticky while the weights stand"
                assert all(now[unit] == "v2" for unit, version in before.items() if version == "v2")
                before = now
    for tally, name in ((kept, "kept"), (fresh, "new")):
        print(f"{rig.proxy.kind}, {name}: {tally.requests} requests, {tally.resent} resent, {CHANGES} changes")
        assert tally.requests > 10 * CHANGES
        assert not tally.failures, tally.failures[:5]
        whole(rig, tally, shares_ppm)
    assert fresh.resent == 0
    assert rig.proxy.kind == "nginx" or kept.resent == 0


def at_share(rig: Rig, answers: list[Answer], share_ppm: int) -> None:
    """The share is within the interval that a fair split of these users leaves in all but a millionth of cases."""
    on_canary = sum(answer.answered == "v2" for answer in answers)
    low, high = binom.interval(1 - 1e-6, len(answers), share_ppm // 100 / 10_000)
    print(f"{rig.proxy.kind}: {on_canary / len(answers):.2%} of {share_ppm / 1e6:.2%}")
    assert low <= on_canary <= high


def whole(rig: Rig, tally: Tally, shares_ppm: dict[int, int]) -> None:
    """Every answer is one of a single route: no request met half of a change."""
    split = {
        str(epoch): split_buckets({"v2": share_ppm}, fallback="v1", canaries=["v2"])
        for epoch, share_ppm in shares_ppm.items()
    }
    seen: dict[tuple[str, str | None], str] = {}
    for answer in tally.answers:
        assert answer.version == answer.answered
        assert answer.epoch in split, answer
        assert seen.setdefault((answer.unit, answer.epoch), answer.answered) == answer.answered, answer
        if rig.proxy.kind == "haproxy":
            bucket = bucket_of(SALT, answer.unit)
            assert answer.bucket == str(bucket)
            assert answer.answered == split[answer.epoch].version_of(bucket), answer
    for (unit, epoch), version in seen.items():
        later = seen.get((unit, str(int(epoch or 0) + 1)), "v2")
        assert version == "v1" or later == "v2", "a ramp only adds"


@pytest.mark.kafka
def test_rules_and_requests_without_a_user(rig: Rig) -> None:
    """A segment's rule comes first, by its exact name; no unit is a draw; a client's own words are nobody's."""
    told = {"X-Serinus-Version": "v9", "X-Serinus-Epoch": "99", "X-Serinus-Bucket": "1"}
    rig.until(None)
    (answer,) = rig.users.ask(["u"], **told)
    assert (answer.version, answer.epoch, answer.bucket) == ("v1", None, None)
    epoch = rig.publish(0, rules={"internal": 1_000_000, "beta 1": 300_000})
    assert {answer.answered for answer in rig.users.ask(USERS[:200], **{"X-Segment": "internal"})} == {"v2"}
    for segment in ("", "Internal", "internal2", "beta"):
        answers = rig.users.ask(USERS[:200], **{"X-Segment": segment}, **told)
        assert {(answer.answered, answer.version, answer.epoch) for answer in answers} == {("v1", "v1", str(epoch))}
        assert "1" not in {answer.bucket for answer in answers}
    some = rig.users.ask(USERS, **{"X-Segment": "beta 1"})
    at_share(rig, some, 300_000)
    by_chance = rig.users.ask([""] * 1_000, **{"X-Segment": "beta 1"})
    at_share(rig, by_chance, 300_000)
    rig.publish(250_000, rules={"internal": 0})
    assert {answer.answered for answer in rig.users.ask(USERS[:200], **{"X-Segment": "internal"})} == {"v1"}
