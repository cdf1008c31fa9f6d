"""The router: fenced, leased, sticky, and on the fallback whenever it cannot know better."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serinus import Choice, Clock, Router, RouterState
from serinus.lease import CLOCK_SKEW_MS

T0_MS = 1_763_632_800_000
LEASE_MS = 30_000


@dataclass
class Time:
    """A clock that only tests move."""

    wall_ms: int = T0_MS
    monotonic_s: float = 100.0

    def clock(self) -> Clock:
        return Clock(now_ms=lambda: self.wall_ms, monotonic_s=lambda: self.monotonic_s)

    def pass_ms(self, ms: int) -> None:
        self.wall_ms += ms
        self.monotonic_s += ms / 1000


def record(**change: Any) -> bytes:
    route: dict[str, Any] = {
        "type": "route",
        "service": "chat",
        "release_id": "chat-1",
        "epoch": 1,
        "state": "ramping",
        "weights_ppm": {"v1": 0, "v2": 1_000_000},
        "fallback": "v1",
        "salt": "s",
        "rules": [],
        "issued_at_ms": T0_MS,
        "lease_ms": LEASE_MS,
    }
    return json.dumps({**route, **change}).encode()


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
def router(at: Time) -> Router:
    return Router(service="chat", fallback="v1", clock=at.clock())


def test_a_change_is_told_once_and_a_renewal_is_none(at: Time) -> None:
    """Another decision, a lease that ran out and one that came back are changes; what is told can be read as it is."""
    told: list[RouterState] = []
    router = Router(service="chat", fallback="v1", clock=at.clock(), on_change=told.append)
    router.apply(record())
    at.pass_ms(10_000)
    router.apply(record(issued_at_ms=T0_MS + 10_000))
    router.apply(record(epoch=2, issued_at_ms=T0_MS + 10_000, weights_ppm={"v1": 900_000, "v2": 100_000}))
    at.pass_ms(LEASE_MS)
    router.apply(record())
    router.apply(record(epoch=2, issued_at_ms=T0_MS + 40_000))
    assert [(state.epoch, state.on_fallback) for state in told] == [(1, False), (2, False), (2, True), (2, False)]
    assert told[1].weights_ppm == {"v1": 900_000, "v2": 100_000}
    assert json.loads(json.dumps(asdict(told[1])))["salt"] == "s", "a health page shows it as it is"
    assert "has run out" in told[2].reason


def test_what_a_callback_raises_is_no_requests_trouble(at: Time) -> None:
    """It is logged; routes go on, and it may look at the router that calls it."""

    def raising(_state: RouterState) -> None:
        seen.append(router.choose("user-1"))
        raise RuntimeError("a page that nobody wrote")

    seen: list[str] = []
    router = Router(service="chat", fallback="v1", clock=at.clock(), on_change=raising)
    assert router.apply(record()) == "applied"
    assert (seen, router.choose("user-1")) == (["v2"], "v2")


def test_attributes_name_the_segment(router: Router, at: Time) -> None:
    """The rule of the named segment decides, the choice says which it was, and a segment that is said comes first."""
    named = [{"name": "long", "when": [{"attribute": "tokens", "number": {"from": 8000}}]}]
    rules = [{"segments": ["long"], "weights_ppm": {"v2": 1_000_000}}]
    router.apply(record(segments=named, rules=rules, weights_ppm={"v1": 1_000_000, "v2": 0}))
    long = router.route("u", attributes={"tokens": 9000})
    assert (long.version, long.segment) == ("v2", "long")
    assert router.route("u", attributes={"tokens": 10})[::3] == ("v1", "")
    assert router.route("u", segment="eu", attributes={"tokens": 9000})[::3] == ("v1", "eu")
    assert router.choose("u", attributes={"tokens": "9e3"}) == "v2"
    assert router.state().segments == tuple(named), "who splits by other means needs them"
    at.pass_ms(LEASE_MS)
    assert router.route("u", attributes={"tokens": 9000}) == Choice("v1", None, None, "long")


def test_a_question_that_is_not_known_refuses_the_route(router: Router) -> None:
    """Half of a condition might open what the other half would not."""
    named = [{"name": "long", "when": [{"attribute": "tokens", "regex": "9.*"}]}]
    assert router.apply(record(segments=named)) == "invalid"
    assert router.route("u") == Choice("v1", None, None)


@pytest.mark.parametrize(
    ("state", "forced", "served"),
    [
        ("ramping", "v2", "v2"),
        ("scheduled", "v2", "v2"),
        ("rolled_back", "v2", "v1"),
        ("promoted", "v2", "v1"),
        ("of a newer writer", "v2", "v1"),
        ("ramping", "v9", "v1"),
    ],
)
def test_a_forced_version_needs_a_release_that_goes_on(
    router: Router, at: Time, state: str, forced: str, served: str
) -> None:
    """A tester gets the version that the route in force names, and never one that was rolled back or is unknown."""
    router.apply(record(state=state, weights_ppm={"v1": 1_000_000, "v2": 0}))
    choice = router.route("u", forced=forced)
    assert (choice.version, choice.forced) == (served, served == forced)
    assert (choice.bucket is None) == choice.forced
    at.pass_ms(LEASE_MS)
    assert router.route("u", forced=forced) == Choice("v1", None, None)


def test_copies_go_to_the_shadow_by_the_same_buckets(router: Router, at: Time) -> None:
    """The fallback answers everybody; whose copies the canary gets is who would get the canary at that share."""
    router.apply(record(weights_ppm={"v1": 1_000_000, "v2": 0}, shadow_ppm={"v2": 250_000}))
    choices = [router.route(f"user-{number}") for number in range(2_000)]
    assert {choice.version for choice in choices} == {"v1"}
    assert all((choice.shadow == "v2") == ((choice.bucket or 0) < 250_000) for choice in choices)
    assert 400 < sum(choice.shadow == "v2" for choice in choices) < 600
    assert router.route("user-1", forced="v2").shadow is None
    at.pass_ms(LEASE_MS)
    assert router.route("user-1") == Choice("v1", None, None), "without a lease nothing is copied"
    too_much = record(epoch=2, issued_at_ms=T0_MS + LEASE_MS, shadow_ppm={"v2": 1_000_001})
    assert router.apply(too_much) == "invalid"


def test_starts_on_the_fallback(router: Router) -> None:
    """Before any route arrives nobody gets a canary, and the state says why."""
    assert router.route("user-1") == Choice("v1", None, None)
    assert router.state().on_fallback
    assert router.state().reason == "no route for chat has arrived"


def test_applies_a_route_and_falls_back_when_the_lease_ends(router: Router, at: Time) -> None:
    """A share holds for exactly the lease since receipt and not a moment longer."""
    assert router.apply(record()) == "applied"
    at.pass_ms(LEASE_MS - 1)
    assert router.choose("user-1") == "v2"
    assert router.state().lease_remaining_ms == 1
    at.pass_ms(1)
    assert router.route("user-1") == Choice("v1", None, None)
    assert router.state().reason == "the lease of epoch 1 has run out and was not renewed"


def test_a_renewal_extends_the_lease(router: Router, at: Time) -> None:
    """The same epoch with a later issue time is newer; the very same record again is not."""
    router.apply(record())
    at.pass_ms(20_000)
    assert router.apply(record()) == "stale"
    assert router.apply(record(issued_at_ms=at.wall_ms)) == "applied"
    at.pass_ms(20_000)
    assert router.choose("user-1") == "v2"


def test_a_retained_route_is_not_taken_for_a_fresh_one(router: Router, at: Time) -> None:
    """A router that starts gives an old route only what is left of its lease plus the skew."""
    at.pass_ms(LEASE_MS + CLOCK_SKEW_MS - 1)
    router.apply(record())
    assert router.choose("user-1") == "v2"
    at.pass_ms(1)
    assert router.choose("user-1") == "v1"
    old = Router(service="chat", fallback="v1", clock=at.clock())
    old.apply(record())
    assert old.choose("user-1") == "v1"


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_a_stepping_wall_clock_never_lengthens_a_lease(router: Router, at: Time, step_ms: int) -> None:
    """The monotonic clock alone ends the lease, however the wall clock is set meanwhile."""
    router.apply(record())
    at.wall_ms += step_ms
    at.monotonic_s += LEASE_MS / 1000
    assert router.choose("user-1") == "v1"


def test_a_suspended_machine_wakes_up_on_the_fallback(router: Router, at: Time) -> None:
    """A monotonic clock that stood still during a suspension is overruled by the wall clock."""
    router.apply(record())
    at.wall_ms += LEASE_MS + CLOCK_SKEW_MS
    assert router.choose("user-1") == "v1"


def test_older_epochs_lose(router: Router) -> None:
    """A delayed route of an older epoch cannot undo a rollback, even if it was issued later."""
    router.apply(record(epoch=5, weights_ppm={"v1": 1_000_000, "v2": 0}))
    assert router.apply(record(epoch=4, issued_at_ms=T0_MS + 10)) == "stale"
    assert router.choose("user-1") == "v1"


def test_an_expired_promoted_route_falls_back_to_its_own_fallback(router: Router, at: Time) -> None:
    """After a promotion the promoted version is the fallback, also for a router that starts much later."""
    at.pass_ms(10 * LEASE_MS)
    router.apply(record(fallback="v2", state="promoted"))
    assert router.choose("user-1") == "v2"
    assert router.state().on_fallback


def test_a_tombstone_closes_but_keeps_the_fence(router: Router) -> None:
    """A withdrawn route opens nothing, and neither does an old one that is read again."""
    router.apply(record())
    assert router.apply(None) == "tombstone"
    assert router.choose("user-1") == "v1"
    assert router.state().reason == "the route of chat was withdrawn"
    assert router.apply(record()) == "stale"
    assert router.choose("user-1") == "v1"


def test_bad_and_foreign_routes_change_nothing(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A bad route is counted and logged once, a route of another service is passed over; the good one stays."""
    router.apply(record())
    for _ in range(3):
        assert router.apply(record(epoch=2, weights_ppm={"v2": 5})) == "invalid"
    assert router.apply(record(epoch=9, service="code")) == "other_service"
    assert router.choose("user-1") == "v2"
    assert router.state().records["invalid"] == 3
    assert "weights_ppm sum to 5" in router.state().last_error
    assert [entry.name for entry in caplog.records] == ["serinus"]


def test_sticky_and_random(router: Router) -> None:
    """A unit always gets the same version; no unit, or an empty one, is drawn anew for each request."""
    router.apply(record(weights_ppm={"v1": 500_000, "v2": 500_000}))
    assert all(len({router.choose(f"user-{number}") for _ in range(5)}) == 1 for number in range(50))
    for nobody in (None, ""):
        served = [router.choose(nobody) for _ in range(2_000)]
        assert 800 < served.count("v2") < 1_200
    assert router.route("user-1").epoch == 1


def test_rules_by_segment_come_first(router: Router) -> None:
    """A segment with a rule is split by it, all others by the weights."""
    rules = [{"segments": ["internal"], "weights_ppm": {"v2": 1_000_000}}]
    router.apply(record(weights_ppm={"v1": 1_000_000, "v2": 0}, rules=rules))
    assert router.choose("user-1", segment="internal") == "v2"
    assert router.choose("user-1", segment="eu") == "v1"


def test_unusable_arguments_get_the_fallback(router: Router) -> None:
    """Nothing that a request passes in can make `choose` raise."""
    router.apply(record())
    bad: Any = ["unhashable"]
    assert router.choose("user-1", segment=bad) == "v1"
    assert router.route("user-1", segment=bad) == Choice("v1", None, None)
    assert router.state().choose_failures == 2


@pytest.mark.parametrize(
    "wrong",
    [{"service": ""}, {"fallback": ""}, {"brokers": " "}, {"brokers": "x:1", "config": {"no.such.property": 1}}],
)
def test_wrong_construction_raises(wrong: dict[str, Any]) -> None:
    """What is wrong in the code or the configuration is said at once, not in the background."""
    with pytest.raises(ValueError, match=r"expected|refuses"):
        Router(**{"service": "chat", "fallback": "v1", **wrong})


def test_broker_down_stays_on_the_fallback_and_closes_quickly() -> None:
    """A router without a broker answers, says so in its state, and stops when asked."""
    with Router(service="chat", fallback="v1", brokers="127.0.0.1:1") as router:
        time.sleep(0.1)
        assert router.choose("user-1") == "v1"
        assert router.state().reason == "canary.control could not be read yet"
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 4


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # forking with threads is the point here
def test_a_forked_child_follows_by_itself() -> None:
    """A pre-forking server's children answer, and start a follower of their own with their first request."""
    with Router(service="chat", fallback="v1", brokers="127.0.0.1:1") as router:
        child = os.fork()
        if child == 0:
            alone = router._following is None
            version = router.choose("user-1")
            os._exit(0 if alone and version == "v1" and router._following is not None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@dataclass
class Model:
    """What the contract says, in the plainest words."""

    newest: tuple[int, int] | None = None
    share_until_ms: int = 0
    fallback: str = "v1"
    seen: list[tuple[int, int]] = field(default_factory=list)


class RouterMachine(RuleBasedStateMachine):
    """Any order of routes, renewals, repeats, garbage, tombstones and passing time.

    Time passes on both clocks here; that they differ is tested above.
    """

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.router = Router(service="chat", fallback="v1", clock=self.time.clock())
        self.model = Model()
        self.log: list[tuple[bytes, tuple[int, int], str, int]] = []

    def take(self, raw: bytes, version: tuple[int, int], fallback: str, lease_ms: int) -> None:
        outcome = self.router.apply(raw)
        if self.model.newest is not None and version <= self.model.newest:
            assert outcome == "stale"
            return
        assert outcome == "applied"
        self.model.newest, self.model.fallback = version, fallback
        by_receipt_ms = self.time.wall_ms + lease_ms
        self.model.share_until_ms = min(by_receipt_ms, version[1] + lease_ms + CLOCK_SKEW_MS)

    @rule(
        epoch=st.integers(0, 5),
        age_ms=st.integers(-20_000, 60_000),
        lease_ms=st.sampled_from([125, 5_000, 30_000]),
        fallback=st.sampled_from(["v1", "v2"]),
    )
    def route(self, epoch: int, age_ms: int, lease_ms: int, fallback: str) -> None:
        issued = self.time.wall_ms - age_ms
        raw = record(
            epoch=epoch, issued_at_ms=issued, lease_ms=lease_ms, fallback=fallback, weights_ppm={"canary": 1_000_000}
        )
        self.log.append((raw, (epoch, issued), fallback, lease_ms))
        self.take(*self.log[-1])

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.log:
            self.take(*data.draw(st.sampled_from(self.log)))

    @rule(
        garbage=st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [record(epoch=99, lease_ms=-1), record(epoch=99, weights_ppm={"canary": float("nan")}), b"null", b"{}"]
            ),
        )
    )
    def garbage(self, garbage: bytes) -> None:
        assert self.router.apply(garbage) == "invalid"

    @rule()
    def foreign(self) -> None:
        assert self.router.apply(record(service="code", epoch=99, weights_ppm={"canary": 1_000_000})) == "other_service"

    @rule()
    def tombstone(self) -> None:
        self.router.apply(None)
        self.model.share_until_ms, self.model.fallback = 0, "v1"

    @rule(eighths=st.integers(1, 320))
    def wait(self, eighths: int) -> None:
        # Eighths of a second are exact in binary, so both clocks agree at the very end of a lease.
        self.time.pass_ms(eighths * 125)

    @invariant()
    def serves_what_the_contract_says(self) -> None:
        leased = self.time.wall_ms < self.model.share_until_ms
        assert self.router.choose("user-1") == ("canary" if leased else self.model.fallback)
        state = self.router.state()
        assert state.on_fallback is not leased
        assert bool(state.reason) is not leased


TestRouterMachine = RouterMachine.TestCase
TestRouterMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
