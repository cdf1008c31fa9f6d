"""What no sequence of inputs may do to the machine."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from releases.machine import step
from releases.machine_io import Commanded, Decide, Effect, Fenced, Judged, MachineInput, Publish, Refuse, Ticked
from releases.opening_hours import open_at
from releases.ramps.adaptive import LEAP_FACTOR_MAX
from releases.ramps.ramp import stages_of
from releases.release_state import ReleaseState, decode_state, encode_state
from releases.routing import UNOBSERVED_AFTER_MS
from schemas.command import Command, Verb
from schemas.decision import Action, Decision, State, decode_record, encode_record
from schemas.evidence import Verdict
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM
from tests.releases.story import PLAN, START_MS, TWO_CANARIES, next_share_ppm, plan_of

LIMITS = "limits: {max_duration: 1h, inconclusive: {after: 3m, action: %s}, no_data: {after: 6m, action: %s}}\n"
PLANS = [
    plan_of(text, LIMITS % (inconclusive, no_data))
    for text in (PLAN, TWO_CANARIES)
    for inconclusive, no_data in (("hold", "hold"), ("rollback", "rollback"))
]
RAMPS = [
    plan_of(PLAN[: PLAN.index("ramp")] + f"ramp: {ramp}\nmetrics: [{{name: error_rate, margin: 1%}}]\n")
    for ramp in (
        "{kind: linear, from: 1%, to: 50%, over: 1m}",
        "{kind: exponential, from: 0.0001%, to: 50%, factor: 4, every: 5s}",
        "{kind: linear, from: 1%, to: 9%, over: 9s, segments: [[internal], [beta], ['*']]}",
        "{kind: adaptive, from: 0.0001%, to: 50%, harm_budget: 20, hold: 5s}",
        "{kind: linear, from: 1%, to: 9%, over: 9s, windows: [{from: '11:00', to: '10:05'}]}",
    )
]
WAITS_MS = st.sampled_from([0, 250, 1_000, 10_000, 16_000, 60_000, 125_000, 301_000, 4_000_000, -50_000])
SHARES_PPM = st.sampled_from([0, 10_000, 50_000, 100_000, 250_000, 500_000, PPM])
OPENING = {Action.START, Action.SET_WEIGHT, Action.PROMOTE}


def weights_by_group(decision: Decision) -> dict[str, int]:
    """What everyone gets by version, and what each group gets by group and version."""
    groups = {f"{r.segments[0]}/{v}": w for r in decision.rules for v, w in r.weights_ppm.items() if w}
    return decision.weights_ppm | groups


class AnySequence(RuleBasedStateMachine):
    """Random commands, judgements, ticks, repeats, fences and jumps of time, against what must always hold."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ReleaseState(service="chat")
        self.now_ms = START_MS
        self.inputs: list[tuple[MachineInput, int]] = []
        self.effects: list[Effect] = []
        self.rolled_back: set[str] = set()
        self.served: dict[str, dict[str, int]] = {}
        self.epoch = 0
        self.at_ms = 0
        self.seen_ms: dict[str, int] = {}
        self.step_ms = 0
        self.judged_ms = START_MS
        self.plan: Plan = PLANS[0]

    @initialize(plan=st.sampled_from(PLANS + RAMPS))
    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.send(Verb.START, plan=plan)

    def put(self, input_: MachineInput) -> None:
        before = self.state
        self.inputs.append((input_, self.now_ms))
        self.state, effects = step(before, input_, self.now_ms)
        self.effects += effects
        decisions = [effect.decision for effect in effects if isinstance(effect, Decide)]
        assert len(decisions) <= 1
        ended = before.release is not None and not before.release.active
        assert not decisions or not ended or isinstance(input_, Commanded), "an ended release was judged"
        for decision in decisions:
            self.check_decision(decision, input_, before)
        for effect in effects:
            if isinstance(effect, Publish):
                self.check_route(effect, before)
        assert step(self.state, input_, self.now_ms + 1) == (self.state, ()), "a repeated input changed something"

    def check_decision(self, decision: Decision, input_: MachineInput, before: ReleaseState) -> None:
        assert decision.epoch > self.epoch, "epochs must grow strictly"
        self.epoch = decision.epoch
        assert decision.at_ms >= self.at_ms, "time went back"
        self.at_ms = decision.at_ms
        assert sum(decision.weights_ppm.values()) == PPM
        assert min(decision.weights_ppm.values()) > 0
        assert decision.reason.endswith((".", "!", "?"))
        assert decision.actor
        assert decode_record(encode_record(decision)) == decision
        served, weights = self.served.setdefault(decision.release_id, {}), weights_by_group(decision)
        raised = [v for v, w in weights.items() if v != self.plan.baseline and w > served.get(v, 0)]
        if raised:
            assert decision.release_id not in self.rolled_back, "traffic was raised after a rollback"
            self.check_raise(decision, input_, before)
        if weights != served:
            self.step_ms = decision.at_ms
        self.served[decision.release_id] = weights
        if decision.state is State.ROLLED_BACK:
            self.rolled_back.add(decision.release_id)
            assert decision.weights_ppm == {self.plan.baseline: PPM}

    def check_raise(self, decision: Decision, input_: MachineInput, before: ReleaseState) -> None:
        if isinstance(input_, Commanded):
            assert decision.action in OPENING
            assert decision.actor == "ann"
            return
        assert isinstance(input_, Judged), "only evidence and operators open traffic"
        assert input_.verdict is Verdict.PASS
        wanted = next_share_ppm(before)
        assert wanted is not None
        assert input_.for_share_ppm >= wanted
        assert decision.action in {Action.ADVANCE, Action.PROMOTE}
        assert open_at(self.plan.ramp.windows, decision.at_ms), "opened outside the plan's hours"
        assert decision.at_ms - self.step_ms >= min(step.hold_ms for step in stages_of(self.plan.ramp)), "no hold"
        weights = self.served[decision.release_id]
        versions = {name.rpartition("/")[2] for name in weights}
        assert all(self.seen_ms.get(version, 0) > self.step_ms for version in versions), "opened for a silent version"
        if isinstance(self.plan.ramp, Adaptive):
            canaries = decision.weights_ppm.keys() - {"v1"} if decision.action is Action.ADVANCE else set()
            grown = [decision.weights_ppm[version] / weights[version] for version in canaries]
            assert max(grown, default=1) <= max(LEAP_FACTOR_MAX, 2), "a leap too far"
        if decision.action is Action.ADVANCE:
            assert PPM - decision.weights_ppm["v1"] <= input_.for_share_ppm

    def check_route(self, effect: Publish, before: ReleaseState) -> None:
        route = effect.route
        assert self.state.release is not None
        shares = {version: weight for version, weight in route.weights_ppm.items() if weight}
        assert (route.epoch, shares) == (self.state.release.epoch, self.state.release.everyone_ppm)
        assert route.rules == self.state.release.rules
        assert not (route.rules and route.state.final), "rules outlive a release"
        assert route.weights_ppm.keys() == {self.plan.baseline, *self.plan.canaries}
        assert route.epoch == self.state.epoch, "a route below a known epoch"
        if before.release is not None and before.release.epoch == route.epoch:
            assert route.issued_at_ms > before.release.published_ms
        canaries = {v for v in shares if v != self.plan.baseline} | {
            v for rule in route.rules for v, weight in rule.weights_ppm.items() if weight
        }
        if canaries and not route.state.final:
            assert route.issued_at_ms - self.judged_ms <= UNOBSERVED_AFTER_MS, "a canary runs unobserved"

    def send(self, verb: Verb, **more: Any) -> None:
        number = len(self.inputs)
        command = Command(f"c{number}", "chat", verb, "ann", "why not", self.now_ms, **more)
        if verb is Verb.START and not (self.state.release is not None and self.state.release.active):
            self.judged_ms = max(self.now_ms, self.state.now_ms)
        self.put(Commanded(seq=self.state.seq + 1, command=command))

    @rule(wait_ms=WAITS_MS)
    def tick(self, wait_ms: int) -> None:
        self.now_ms += wait_ms
        self.put(Ticked(seq=self.state.seq + 3))

    @rule(
        wait_ms=WAITS_MS,
        verdict=st.sampled_from(Verdict),
        share_ppm=SHARES_PPM,
        silent=st.sampled_from([(), ("v2",), ("v1",), ("v1", "v2", "v3")]),
        action=st.sampled_from(["rollback", "hold", "hold"]),
    )
    def judge(self, wait_ms: int, verdict: Verdict, share_ppm: int, silent: tuple[str, ...], action: Any) -> None:
        self.now_ms += wait_ms
        self.assess(verdict, share_ppm, silent, action)

    @rule(wait_ms=WAITS_MS, share_ppm=SHARES_PPM, silent=st.sampled_from([(), (), ("v2",), ("v1",)]))
    def pass_(self, wait_ms: int, share_ppm: int, silent: tuple[str, ...]) -> None:
        self.now_ms += wait_ms
        self.assess(Verdict.PASS, share_ppm, silent, "rollback")

    @rule(wait_ms=WAITS_MS, times=st.integers(1, 5))
    def judge_well(self, wait_ms: int, times: int) -> None:
        for _ in range(times):
            self.now_ms += max(wait_ms, 0) // times
            self.assess(Verdict.PASS, PPM, (), "rollback")

    def assess(self, verdict: Verdict, share_ppm: int, silent: tuple[str, ...], action: Any) -> None:
        self.judged_ms = max(self.now_ms, self.state.now_ms)
        self.seen_ms |= {v: self.judged_ms for v in ("v1", *self.plan.canaries) if v not in silent}
        judged = Judged(
            seq=self.state.seq + 1,
            verdict=verdict,
            for_share_ppm=share_ppm,
            reason="numbers",
            canary_requests={v: 0 if v in silent else 2 for v in self.plan.canaries},
            baseline_requests=0 if "v1" in silent else 50,
            fail_action=action,
        )
        self.put(judged)

    @rule(verb=st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.PAUSE, Verb.RESUME, Verb.PROMOTE, Verb.ROLLBACK]))
    def command(self, verb: Verb) -> None:
        self.send(verb)

    @rule(version=st.sampled_from(["v1", "v2", "v3"]), weight_ppm=st.sampled_from([0, 5_000, 50_000, 400_000, PPM]))
    def set_weight(self, version: str, weight_ppm: int) -> None:
        self.send(Verb.SET_WEIGHT, version=version, weight_ppm=weight_ppm)

    @precondition(lambda self: self.state.release is not None and not self.state.release.active)
    @rule(plan=st.sampled_from(PLANS + RAMPS))
    def start(self, plan: Plan) -> None:
        self.plan = plan
        self.send(Verb.START, plan=plan)

    @rule(plan=st.sampled_from(PLANS))
    def start_too_early(self, plan: Plan) -> None:
        if self.state.release is not None and self.state.release.active:
            self.send(Verb.START, plan=plan)
            assert isinstance(self.effects[-1], Refuse)

    @rule(ahead=st.sampled_from([-1, 0, 1, 5]), ours=st.booleans())
    def fence(self, ahead: int, ours: bool) -> None:
        release = self.state.release
        release_id = release.id if release is not None and ours else "chat-other"
        self.put(Fenced(epoch=self.state.epoch + ahead, release_id=release_id))

    @rule(back=st.integers(0, 5))
    def repeat(self, back: int) -> None:
        """A redelivery of any earlier input, later in time."""
        input_, _ = self.inputs[-1 - back % len(self.inputs)]
        if not isinstance(input_, Fenced):
            assert step(self.state, input_, self.now_ms + 5_000) == (self.state, ())

    @invariant()
    def survives_a_restart(self) -> None:
        """A state that was saved and loaded is the same state."""
        assert decode_state(encode_state(self.state)) == self.state

    def teardown(self) -> None:
        """Folding the same inputs again gives the same effects, byte for byte."""
        state = ReleaseState(service="chat")
        effects: list[Effect] = []
        for input_, now_ms in self.inputs:
            state, more = step(decode_state(encode_state(state)), input_, now_ms)
            effects += more
        assert (state, effects) == (self.state, self.effects)


AnySequence.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAnySequence = AnySequence.TestCase
