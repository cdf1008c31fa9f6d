"""What must hold of every step of the machine, told from its inputs and effects alone, with books of its own."""

from __future__ import annotations

from collections import Counter

from releases.machine_io import Commanded, Decide, Effect, Fenced, Judged, MachineInput, Publish, Refuse
from releases.ramps.ramp import stages_of
from releases.routing import UNOBSERVED_AFTER_MS
from schemas.command import Verb
from schemas.decision import Action, Decision, State, decode_record, encode_record
from schemas.evidence import Verdict
from schemas.plan import Plan
from schemas.ramp import Adaptive
from schemas.route import Route
from schemas.units import PPM
from tests.releases.books import Followed, Shares, group_names, in_hours, next_step, present_of, shares_of

OPENERS = {
    Verb.START: Action.START,
    Verb.RESUME: Action.START,
    Verb.SET_WEIGHT: Action.SET_WEIGHT,
    Verb.PROMOTE: Action.PROMOTE,
}
"""The orders that may raise traffic, and what the decision is called; to resume a scheduled release starts it."""


class Safety:
    """Follows one service and asserts; ``counted`` says how often what has happened."""

    def __init__(self, counted: Counter[str]) -> None:
        self.counted = counted
        self.release: Followed | None = None
        self.by_id: dict[str, Followed] = {}
        self.decided: dict[int, Decision] = {}
        self.foreign: set[int] = set()
        self.published_ms: dict[int, int] = {}
        self.answers: Counter[str] = Counter()
        self.at_ms = 0

    @property
    def epoch(self) -> int:
        """The newest that anybody has used."""
        return max({0, *self.decided, *self.foreign})

    def see(self, input_: MachineInput, effects: tuple[Effect, ...], *, now_ms: int) -> None:
        """One input that is new, what it led to, and the log time of the machine then."""
        self.counted["steps"] += 1
        known_epoch = self.epoch
        self._hear(input_, now_ms)
        if isinstance(input_, Fenced) and input_.epoch > known_epoch:
            self.foreign.add(input_.epoch)
        for effect in effects:
            match effect:
                case Decide(decision=decision):
                    self._decided(decision, input_)
                case Publish(route=route):
                    self._published(route)
                case Refuse(refusal=refusal):
                    assert isinstance(input_, Commanded)
                    assert refusal.command_id == input_.command.id
                    self._answered(refusal.command_id)
                    self.counted["refused"] += 1
        decisions = sum(isinstance(effect, Decide) for effect in effects)
        if isinstance(input_, Commanded):
            assert decisions <= (2 if input_.command.replace else 1), "two decisions of one order"
            expected = input_.command.expected_epoch
            stale = expected is not None and expected < known_epoch
            assert not (stale and decisions), "an order for an old epoch was carried out"
            self.counted["stale"] += stale
        else:
            assert decisions <= 1, "two decisions of one input"

    def _hear(self, input_: MachineInput, now_ms: int) -> None:
        release = self.release
        if not isinstance(input_, Judged) or release is None or release.state.final:
            return
        counts = input_.canary_requests | {release.plan.baseline: input_.baseline_requests}
        release.judged, release.judged_ms = input_, now_ms
        release.seen_ms |= {version: now_ms for version, n in counts.items() if n}

    def _answered(self, command_id: str | None) -> None:
        assert command_id is not None
        self.answers[command_id] += 1
        assert self.answers[command_id] == 1, "an order was answered twice"

    def _decided(self, decision: Decision, input_: MachineInput) -> None:
        epoch = decision.epoch
        assert epoch > self.epoch, "an epoch that was used already, or below one"
        assert epoch not in self.decided
        self.decided[epoch] = decision
        self._well_formed(decision)
        release = self._release_of(decision, input_)
        if isinstance(input_, Commanded) and not (input_.command.replace and decision.action is Action.ABORT):
            assert decision.command_id == input_.command.id
            self._answered(decision.command_id)
        if release.state.final:
            assert isinstance(input_, Commanded), "an ended release was judged"
            assert (release.state, decision.action) == (State.PROMOTED, Action.ROLLBACK)
        shares = shares_of(decision, release.plan)
        rises = {(g, v) for g, its in shares.items() for v, w in its.items() if w > release.shares.get(g, {}).get(v, 0)}
        if rises:
            assert not release.state.final, "traffic rose after the end of a release"
            self._check_rise(release, decision, input_, rises, shares)
        if not decision.state.final:
            _check_groups(release.plan, decision, shares)
        shadows = bool(decision.shadow_ppm)
        assert not (shadows and any(shares.values())), "copies beside a share"
        if (shares, shadows) != (release.shares, release.shadows):
            release.step_ms = decision.at_ms
        if decision.action is Action.LOWER:
            assert isinstance(input_, Judged) and input_.lowering is not None, "lowered without a reason"
            assert (decision.state, shares != release.shares) == (release.state, True), "lowered to what there was"
            lowest = max(share for share in shares[present_of(release)[0]].values())
            assert lowest <= input_.lowering.to_ppm, "not lowered as far as was asked"
        if decision.action is Action.STOP:
            _check_stop(release, decision, input_, shares)
        assert set(decision.stopped) == release.stopped, "stopped without a decision"
        if decision.action is not Action.START:
            served = {version for its in shares.values() for version in its}
            assert not served & release.stopped, "a canary that was stopped came back"
        if decision.action is Action.CONFIRM:
            assert isinstance(input_, Commanded), "only an operator says yes"
            group, _, next_ppm = next_step(release)
            asked = [share for share in release.plan.ramp.confirm if share <= next_ppm]
            release.confirmed[group] = max(asked)
        release.shares, release.shadows, release.state = shares, shadows, decision.state
        if decision.state in {State.ROLLED_BACK, State.ABORTED}:
            assert decision.weights_ppm == {release.plan.baseline: PPM}
            assert not decision.rules
        self.counted[decision.action.value] += 1

    def _release_of(self, decision: Decision, input_: MachineInput) -> Followed:
        if decision.release_id not in self.by_id:
            assert isinstance(input_, Commanded), "only an operator starts a release"
            assert input_.command.command is Verb.START
            assert self.release is None or self.release.state.final, "a second release beside one that is under way"
            self.release = self.by_id[decision.release_id] = Followed(input_.command, decision.at_ms)
        assert self.by_id[decision.release_id] is self.release, "a decision on a release that is over"
        return self.by_id[decision.release_id]

    def _well_formed(self, decision: Decision) -> None:
        assert decision.at_ms >= self.at_ms, "time went back"
        self.at_ms = decision.at_ms
        assert sum(decision.weights_ppm.values()) == PPM
        assert min(decision.weights_ppm.values()) > 0
        assert all(0 <= sum(rule.weights_ppm.values()) <= PPM for rule in decision.rules)
        assert decision.reason.endswith((".", "!", "?"))
        assert decision.actor
        assert decode_record(encode_record(decision)) == decision

    def _check_rise(
        self, release: Followed, decision: Decision, input_: MachineInput, rises: set[tuple[str, str]], shares: Shares
    ) -> None:
        names = group_names(release.plan)
        begun = [version for version in release.plan.canaries if version not in release.stopped]
        least = dict.fromkeys(begun, stages_of(release.plan.ramp)[0].weight_ppm)
        first: Shares = {name: {} for name in names} | {names[0]: least}
        if isinstance(input_, Commanded):
            command = input_.command
            assert (decision.action, decision.actor) == (OPENERS[command.command], command.actor)
            if decision.action is Action.START:
                assert shares == first, "a start opened more than the first step"
            elif decision.action is Action.SET_WEIGHT:
                assert {version for _, version in rises} == {command.version}, "an order raised another version"
            elif not command.skip_evidence:
                _check_passed(release.judged, PPM)
            return
        if release.state is State.SCHEDULED:
            assert not isinstance(input_, Fenced)
            at_ms = release.plan.ramp.start
            assert at_ms is not None and decision.at_ms >= at_ms, "opened before its time"
            assert shares == first
            assert (decision.actor, decision.command_id) == (release.start.actor, release.start.id)
            return
        assert isinstance(input_, Judged), "only evidence and operators open traffic"
        assert release.state is State.RAMPING, "what holds or is paused opens nothing"
        self._check_evidence(release, decision, input_, shares)

    def _check_evidence(self, release: Followed, decision: Decision, judged: Judged, shares: Shares) -> None:
        plan, at_ms = release.plan, decision.at_ms
        names = group_names(plan)
        where, present = present_of(release)
        running = tuple(version for version in plan.canaries if version in present)
        steps = stages_of(plan.ramp)
        below = sum(step.weight_ppm <= max(present.values()) for step in steps)
        shadow = plan.ramp.shadow if release.shadows else None
        hold_ms = steps[max(0, below - 1)].hold_ms if shadow is None else shadow.hold
        assert at_ms - release.step_ms >= hold_ms, "the step was not held"
        assert in_hours(plan.ramp, at_ms), "opened outside the plan's hours"
        silent = [v for v in (*running, plan.baseline) if release.seen_ms.get(v, 0) <= release.step_ms]
        assert not silent, "opened for a silent version"
        group, passed, _ = next_step(release)
        reached = PPM if decision.action is Action.PROMOTE else max(shares[group].values())
        unasked = [share for share in plan.ramp.confirm if passed < share <= reached]
        assert max(unasked, default=0) <= release.confirmed.get(group, 0), "nobody has said yes"
        if decision.action is Action.PROMOTE:
            assert where == names[-1], "promoted before everyone has met the canary"
            assert below == len(steps), "promoted before the last step"
            assert shares == {name: {running[0]: PPM} for name in names}
            _check_passed(judged, PPM)
            return
        assert decision.action is Action.ADVANCE
        after = shares[where]
        if below == len(steps):
            joined = names[names.index(where) + 1]
            assert shares == release.shares | {
                where: dict.fromkeys(running, steps[-1].weight_ppm),
                joined: dict.fromkeys(running, steps[0].weight_ppm),
            }
            after = shares[joined]
        else:
            most = steps[below].weight_ppm
            if isinstance(plan.ramp, Adaptive):
                most = max([most, *(s.weight_ppm for s in steps if s.weight_ppm <= 5 * max(present.values()))])
                within = [s.weight_ppm for s in steps[below:] if s.weight_ppm * len(running) <= PPM // 5]
                most = min([most, *within[-1:]])
            assert set(after) == set(running), "a version that was stopped came back"
            assert len(set(after.values())) == 1
            assert steps[below].weight_ppm <= max(after.values()) <= most, "more than the next step at once"
            assert max(after.values()) in {step.weight_ppm for step in steps}
            assert shares == release.shares | {where: after}, "another group was moved too"
        _check_passed(judged, sum(after.values()))

    def _published(self, route: Route) -> None:
        release = self.by_id[route.release_id]
        assert route.epoch == self.epoch, "a route below a known epoch"
        decision = self.decided[route.epoch]
        assert decision.release_id == route.release_id
        assert sum(route.weights_ppm.values()) == PPM
        shares = {version: weight for version, weight in route.weights_ppm.items() if weight}
        assert (shares, route.rules) == (decision.weights_ppm, decision.rules), "one epoch, two routes"
        assert route.weights_ppm.keys() == {release.plan.baseline, *release.plan.canaries}
        assert route.issued_at_ms > self.published_ms.get(route.epoch, -1)
        self.published_ms[route.epoch] = route.issued_at_ms
        if release.state in {State.ROLLED_BACK, State.ABORTED}:
            assert shares == {release.plan.baseline: PPM}
            assert not route.rules
        if any(release.shares.values()) and not release.state.final:
            assert route.issued_at_ms - release.judged_ms <= UNOBSERVED_AFTER_MS, "a canary runs unobserved"


def _check_stop(release: Followed, decision: Decision, input_: MachineInput, shares: Shares) -> None:
    """Only those of which a gate says FAIL get nothing any more, and the others keep what they have."""
    assert isinstance(input_, Judged)
    new = set(decision.stopped) - release.stopped
    failed = {row.version for row in input_.evidence if (row.role, row.verdict) == ("gate", Verdict.FAIL)}
    assert new, "nobody was stopped"
    assert new <= failed, "stopped without a FAIL"
    assert release.state is decision.state, "a stop changed the state of the release"
    left = {name: {v: w for v, w in its.items() if v not in new} for name, its in release.shares.items()}
    assert shares == left, "a stop moved the others"
    release.stopped |= new
    assert release.stopped < set(release.plan.canaries), "the last canary was stopped, and the release goes on"


def _check_groups(plan: Plan, decision: Decision, shares: Shares) -> None:
    """Groups are opened in the plan's order, each when the one before has taken the ramp's last step."""
    groups = plan.ramp.segments[: len(decision.rules)]
    assert tuple(rule.segments for rule in decision.rules) == groups
    opened = [name for name in group_names(plan) if shares[name]]
    assert opened == group_names(plan)[: len(opened)], "a group was left out"
    last = stages_of(plan.ramp)[-1].weight_ppm
    assert all(set(shares[name].values()) == {last} for name in opened[:-1]), "a group was opened too early"


def _check_passed(judged: Judged | None, share_ppm: int) -> None:
    assert judged is not None
    gates = [row.verdict for row in judged.evidence if row.role == "gate"]
    assert gates, "nothing was judged"
    assert set(gates) == {Verdict.PASS}, "a gate does not say PASS"
    assert judged.for_share_ppm >= share_ppm, "harm beyond the margin is not excluded at this share"
