"""What no sequence of inputs may do to the machine, over random plans, inputs and faults.

`MACHINE_STEPS=100000 pytest -s tests/releases/test_machine_properties.py` takes and counts more steps than CI does.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from releases.lowering import Lowering
from releases.machine import step
from releases.machine_io import Commanded, Effect, Fenced, Judged, MachineInput, Ticked
from releases.release_state import Release, ReleaseState, decode_state, encode_state
from releases.ruling import with_split
from schemas.command import Command, Verb
from schemas.decision import Action, State
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.units import PPM
from tests.releases.any_plan import plans
from tests.releases.safety import Safety
from tests.releases.story import START_MS

STEPS = int(os.environ.get("MACHINE_STEPS", "10000"))
"""Inputs that the machine takes; it is shown many more, again or too late."""
RULES_A_SEQUENCE, STEPS_A_SEQUENCE = 40, 30

HELD = -1
"""In place of a wait: until the step has been held for its time, and no longer."""
WAITS_MS = st.sampled_from(
    [HELD, HELD, HELD, 0, 250, 1_000, 10_000, 16_000, 60_000, 125_000, 301_000, 4_000_000, 40_000_000, -50_000]
)
VERDICTS = st.sampled_from([*[Verdict.PASS] * 3, Verdict.INCONCLUSIVE, *Verdict])
SHARES_PPM = st.sampled_from([0, 10_000, 50_000, 100_000, 250_000, 500_000, PPM, PPM])
VERSIONS = ["v1", "v2", "v3", "v10"]
COUNTED: Counter[str] = Counter()


class AnySequence(RuleBasedStateMachine):
    """Random commands, judgements, ticks, repeats, fences and jumps of time, against what must always hold."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ReleaseState(service="chat")
        self.now_ms = START_MS
        self.inputs: list[tuple[MachineInput, int]] = []
        self.effects: list[Effect] = []
        self.safety = Safety(COUNTED)
        self.plan: Plan | None = None

    @initialize(plan=plans())
    def begin(self, plan: Plan) -> None:
        self.start(plan)

    @property
    def release(self) -> Release | None:
        """The release that is under way."""
        release = self.state.release
        return release if release is not None and release.active else None

    def put(self, input_: MachineInput) -> None:
        before = self.state
        self.inputs.append((input_, self.now_ms))
        self.state, effects = step(before, input_, self.now_ms)
        self.effects += effects
        if isinstance(input_, Fenced) and input_.epoch <= before.epoch:
            assert (self.state, effects) == (before, ()), "a fence below our epoch changed something"
        self.safety.see(input_, effects, now_ms=self.state.now_ms)
        assert step(self.state, input_, self.now_ms + 1) == (self.state, ()), "a repeated input changed something"

    def send(self, verb: Verb, behind: int | None = None, **more: Any) -> None:
        expected = None if behind is None else max(0, self.state.epoch - behind)
        number = len(self.inputs)
        command = Command(f"c{number}", "chat", verb, "ann", "why not", self.now_ms, expected_epoch=expected, **more)
        self.put(Commanded(seq=self.state.seq + 1, command=command))

    def wait(self, wait_ms: int) -> None:
        if wait_ms == HELD and self.state.release is not None:
            wait_ms = max(0, self.state.release.step_since_ms + self.state.release.hold_ms - self.now_ms)
        self.now_ms += wait_ms

    @rule(wait_ms=WAITS_MS)
    def tick(self, wait_ms: int) -> None:
        self.wait(wait_ms)
        self.put(Ticked(seq=self.state.seq + 3))

    @rule(
        wait_ms=WAITS_MS,
        verdicts=st.lists(VERDICTS, min_size=9, max_size=9),
        share_ppm=SHARES_PPM,
        silent=st.sampled_from([(), (), (), ("v2",), ("v1",), tuple(VERSIONS)]),
        broken=st.sampled_from([False] * 7 + [True]),
    )
    def judge(
        self, wait_ms: int, verdicts: list[Verdict], share_ppm: int, silent: tuple[str, ...], broken: bool
    ) -> None:
        self.wait(wait_ms)
        self.assess(verdicts, share_ppm, silent, broken=broken)

    @rule(
        wait_ms=WAITS_MS,
        share_ppm=SHARES_PPM,
        silent=st.sampled_from([(), (), ("v2",), ("v1",)]),
        then_tick=st.booleans(),
    )
    def pass_(self, wait_ms: int, share_ppm: int, silent: tuple[str, ...], then_tick: bool) -> None:
        """Good news, and the step's time may be over when nothing but a tick comes."""
        self.wait(wait_ms)
        self.assess([Verdict.PASS] * 9, share_ppm, silent)
        if then_tick:
            self.tick(HELD)

    @rule(
        steps=st.integers(1, 8),
        late_ms=st.sampled_from([0, 0, 0, 1_000, -1]),
        without=st.sampled_from([None, None, None, 0, 1]),
        says_yes=st.sampled_from([True, True, False]),
    )
    def climb(self, steps: int, late_ms: int, without: int | None, says_yes: bool) -> None:
        """Good news as soon as the step has been held, or a little before: without it few sequences get far.

        One canary may be stopped first: how a ramp goes on with the others is where books differ most easily.
        """
        if without is not None:
            self.set_weight(without, 0, None)
        for _ in range(steps):
            assert self.state.release is not None
            self.wait(HELD)
            self.now_ms += late_ms
            self.assess([Verdict.PASS] * 9, PPM, ())
            if says_yes and self.state.release.awaits_ppm is not None:
                self.send(Verb.CONFIRM)

    @precondition(lambda self: self.release is not None and isinstance(self.release.plan.ramp, Adaptive))
    @rule(
        steps=st.integers(1, 3),
        above_ppm=st.sampled_from([0, 0, 1, 100]),
        verdict=st.sampled_from([Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR]),
    )
    def overspend(self, steps: int, above_ppm: int, verdict: Verdict) -> None:
        """The budget of an adaptive ramp is found to be spent after a climb, whatever the gates say."""
        self.climb(steps, 0, None, says_yes=True)
        assert self.state.release is not None
        ramp = self.state.release.plan.ramp
        assert isinstance(ramp, Adaptive)
        self.assess([verdict] * 9, PPM, (), lowering=Lowering(ramp.from_ + above_ppm, "numbers"))

    @precondition(lambda self: self.release is not None and len(self.release.running) > 1)
    @rule(index=st.integers(0, 2), others=VERDICTS)
    def fail_one(self, index: int, others: Verdict) -> None:
        """One canary of several fails by all its gates."""
        assert self.release is not None
        its, gates = index % len(self.release.running), len(self.release.plan.gates)
        verdicts = [others] * 9
        verdicts[its * gates : (its + 1) * gates] = [Verdict.FAIL] * gates
        self.assess(verdicts, PPM, ())

    def assess(
        self,
        verdicts: list[Verdict],
        share_ppm: int,
        silent: tuple[str, ...],
        *,
        broken: bool = False,
        lowering: Lowering | None = None,
    ) -> None:
        """What the judge would say: one verdict for each gate of each canary that has traffic, and the split's."""
        release = self.state.release
        assert release is not None
        gates = [(canary, gate) for canary in release.running for gate in release.plan.gates]
        rows = [(canary, gate, one) for (canary, gate), one in zip(gates, verdicts, strict=False)]
        failed = [(canary, gate) for canary, gate, one in rows if one is Verdict.FAIL]
        rollbacks = [(canary, gate) for canary, gate in failed if gate.on_fail == "rollback"]
        judged = Judged(
            seq=self.state.seq + 1,
            verdict=with_split([one for _, _, one in rows], broken=broken),
            for_share_ppm=share_ppm,
            reason="numbers",
            canary_requests={v: 0 if v in silent else 2 for v in release.plan.canaries},
            baseline_requests=0 if "v1" in silent else 50,
            evidence=tuple(row_of(canary, gate.label, one) for canary, gate, one in rows),
            fail_action="hold" if failed and not rollbacks else "rollback",
            failed=tuple(dict.fromkeys(canary for canary, _ in rollbacks or failed)),
            lowering=lowering,
        )
        self.put(judged)

    @rule(
        verb=st.sampled_from([*[Verb.PAUSE, Verb.RESUME, Verb.CONFIRM, Verb.CONFIRM] * 4, Verb.ROLLBACK, Verb.ABORT]),
        behind=st.sampled_from([None, None, 0, 1]),
    )
    def command(self, verb: Verb, behind: int | None) -> None:
        self.send(verb, behind)

    @precondition(lambda self: self.release is not None and self.release.state is State.PAUSED)
    @rule(behind=st.sampled_from([None, 0, 1]))
    def resume(self, behind: int | None) -> None:
        self.send(Verb.RESUME, behind)

    @precondition(lambda self: self.release is not None and self.release.awaits_ppm is not None)
    @rule(behind=st.sampled_from([None, 0, 1]))
    def confirm(self, behind: int | None) -> None:
        self.send(Verb.CONFIRM, behind)

    @rule(skip_evidence=st.booleans(), version=st.sampled_from([None, *VERSIONS]), behind=st.sampled_from([None, 0, 2]))
    def promote(self, skip_evidence: bool, version: str | None, behind: int | None) -> None:
        self.send(Verb.PROMOTE, behind, skip_evidence=skip_evidence, version=version)

    @rule(
        index=st.integers(0, 2),
        weight_ppm=st.sampled_from([0, 0, 0, 5_000, 50_000, 400_000, PPM]),
        behind=st.sampled_from([None, None, None, 1]),
    )
    def set_weight(self, index: int, weight_ppm: int, behind: int | None) -> None:
        """Of one of the canaries; where there are fewer, of the baseline, which is refused."""
        release = self.state.release
        assert release is not None
        version = (*release.plan.canaries, "v1")[min(index, len(release.plan.canaries))]
        self.send(Verb.SET_WEIGHT, behind, version=version, weight_ppm=weight_ppm)

    @rule(forged=st.sampled_from([{"service": "chit"}, {"reason": " "}, {"weight_ppm": -1}, {"replace": True}]))
    def forge(self, forged: dict[str, Any]) -> None:
        """An order that breaks a rule is refused and changes nothing else."""
        number = len(self.inputs)
        command = Command(f"c{number}", "chat", Verb.ROLLBACK, "eve", "because", self.now_ms)
        before = self.state
        self.put(Commanded(seq=before.seq + 1, command=msgspec.structs.replace(command, **forged)))
        assert self.state.release == before.release, "a forged order did something"

    @precondition(lambda self: self.state.release is not None and not self.state.release.active)
    @rule(plan=plans())
    def start_again(self, plan: Plan) -> None:
        self.start(plan)

    @rule(plan=plans(), replace=st.sampled_from([False, False, True]), behind=st.sampled_from([None, 0, 1]))
    def start_beside(self, plan: Plan, replace: bool, behind: int | None) -> None:
        self.send(Verb.START, behind, plan=plan, replace=replace)

    def start(self, plan: Plan) -> None:
        self.send(Verb.START, plan=plan)

    @rule(ahead=st.sampled_from([-5, -1, 0, 0, 0, 1, 5]), ours=st.booleans())
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

    @rule(back=st.integers(0, 3))
    def come_too_late(self, back: int) -> None:
        """Good news with an offset that was passed long ago: a reader that was put back, or somebody else's log."""
        if self.state.seq < 0:
            return
        late = Judged(self.state.seq - back, Verdict.PASS, PPM, "numbers", dict.fromkeys(VERSIONS, 9), 99)
        assert step(self.state, late, self.now_ms + 400_000) == (self.state, ()), "an old input changed something"

    @rule(back=st.integers(0, 30))
    def send_again(self, back: int) -> None:
        """An operator who has not heard sends an order again: the same id in a new record."""
        sent = [input_.command for input_, _ in self.inputs if isinstance(input_, Commanded)]
        before, effects = self.state, len(self.effects)
        self.put(Commanded(seq=before.seq + 1, command=sent[-1 - back % len(sent)]))
        assert (self.state.release, len(self.effects)) == (before.release, effects), "an order was obeyed twice"

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


def row_of(canary: str, metric: str, verdict: Verdict) -> Evidence:
    return Evidence(metric, "", canary, "any", 1, "gate", verdict, 50, 2, "numbers")


@pytest.mark.timeout(300 + STEPS // 50)
def test_any_sequence() -> None:
    """Of all the steps none does what it must not; the sequences reach every kind of decision many times."""
    COUNTED.clear()
    run_state_machine_as_test(
        AnySequence,
        settings=settings(
            max_examples=-(-STEPS // STEPS_A_SEQUENCE),
            stateful_step_count=RULES_A_SEQUENCE,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    print(f"{COUNTED.pop('steps'):,} steps:", ", ".join(f"{n:,} {what}" for what, n in COUNTED.most_common()))
    seldom = {action.value for action in Action if COUNTED[action.value] < STEPS // 1_000}
    assert not seldom, f"hardly ever reached: {seldom}"
