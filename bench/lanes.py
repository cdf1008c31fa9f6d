"""What the rules that Serinus is compared with make of one run of a scenario, all of them in one pass of its traffic.

The canary gets the shares of the plan's ramp without any evidence: each step opens when its hold is over, and it is
promoted at the end unless the rule has rolled it back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench import argo_rollouts, rules
from bench.arms import Second
from detectors.summaries.moments import Moments
from releases.ramps.ramp import stages_of
from schemas.plan import Plan
from schemas.report import Cell
from streams.offline.distributions import quantity_of
from streams.offline.drawing import World
from streams.offline.simulate import START_MS
from streams.offline.traffic import Shares, Traffic


class Row(NamedTuple):
    """What one rule made of one run.

    Attributes
    ----------
    state : promoted, held, rolled_back, rolled_back_early (before there was any harm), rolled_back_by_limit, undecided.
    after_s : from the onset, or the start where there is none, until then.
    requests : that the canary had answered by then.
    harmed : requests that the canary answered while it was bad, in the whole scenario: all of them after a promotion.
    """

    rule: str
    state: str
    after_s: int | None
    requests: int | None
    harmed: int


class Lane:
    """One rule on its way through one run."""

    def __init__(self, rule: rules.Rule) -> None:
        self.rule = rule
        self.ended: str | None = None
        self.at_s: int | None = None
        self.requests: int | None = None
        self.harmed = 0

    def see(self, second: Second, requests: int, harmed: int) -> None:
        if self.ended is None:
            self.harmed = harmed
            if self.rule.failed(second):
                self._end("rolled_back", second.at_s, requests)

    def promote(self, at_s: int, requests: int) -> None:
        if self.ended is None:
            self._end("rolled_back" if self.rule.refused() else "promoted", at_s, requests)

    def row(self, world: World) -> Row:
        assert self.ended is not None
        return row_of(world, Row(self.rule.name, self.ended, self.at_s, self.requests, self.harmed))

    def _end(self, state: str, at_s: int, requests: int) -> None:
        self.ended, self.at_s, self.requests = state, at_s, requests


def rules_for(world: World, plan: Plan) -> list[rules.Rule]:
    """All rules with what each of them is allowed to know."""
    limits = {name: mean for name, (mean, _) in limits_of(world, plan).items()}
    found: list[rules.Rule] = [
        rules.ThreeSigma(),
        rules.Thresholds(limits),
        rules.MannWhitney(),
        rules.FixedHorizonZ(),
        rules.PeekingZ(),
        rules.Msprt(),
        rules.PooledSequence(),
    ]
    if argo_rollouts.PROGRAM.exists():
        found.append(argo_rollouts.ArgoRollouts(limits))
    return [*found, *oracle_of(world)]


def limits_of(world: World, plan: Plan) -> dict[str, tuple[float, float]]:
    """Per metric the worst mean that the plan's margin allows and the healthy mean, in the direction of harm."""
    found: dict[str, tuple[float, float]] = {}
    for gate in plan.gates:
        if gate.kind == "mix":
            shares = world.labels[gate.name]
            found |= {
                f"{gate.name}={value}": (share + float(gate.margin or 0), share) for value, share in shares.items()
            }
        if gate.kind not in {"rate", "mean"}:
            continue
        healthy, _ = level_of(world, gate.name)
        margin = float(gate.margin or 0)
        sign = -1.0 if gate.worse == "lower" else 1.0
        worst = healthy + margin if gate.kind == "rate" else healthy * (1 + sign * margin)
        found[gate.name] = (sign * worst, sign * healthy)
    return found


def level_of(world: World, metric: str) -> tuple[float, float]:
    """A metric's healthy mean and standard deviation."""
    arm = world.scenario.baseline
    if metric == "error_rate":
        rate = float(arm.error_rate)
        return rate, math.sqrt(rate * (1 - rate))
    if metric.startswith("feedback."):
        feedback = arm.feedback[metric.removeprefix("feedback.")]
        return feedback.mean, feedback.sd
    named = arm.latency_ms if metric == "latency_ms" else arm.values[metric.removeprefix("values.")]
    assert named is not None
    quantity = quantity_of(named, world.folder)
    values = quantity.of_normal(np.random.default_rng(0).standard_normal(200_000))
    return quantity.mean, float(values.std())


def oracle_of(world: World) -> list[rules.Rule]:
    """The oracle, for scenarios whose only change sets or multiplies one mean of all requests at once."""
    ours = world.canary[len(world.both) :]
    if len(ours) != 1 or world.both or ours[0].over_ms or ours[0].segment or len(ours[0].effects) != 1:
        return []
    effect = ours[0].effects[0]
    if effect.metric == "error_rate" and effect.kind == "to":
        healthy, sd = level_of(world, effect.metric)
        harmed = effect.value
    elif effect.kind == "times" and effect.value > 1:
        healthy, sd = level_of(world, effect.metric)
        harmed = healthy * effect.value
    else:
        return []
    return [rules.OracleSprt(effect.metric, healthy, harmed, sd, ours[0].at_ms / 1000)]


def second_of(at_s: int, cells: Sequence[Cell], plan: Plan, world: World) -> Second:
    """Totals of both arms, signed so that higher is worse."""
    means = [gate for gate in plan.gates if gate.kind == "mean"]
    signs = {gate.name: -1.0 if gate.worse == "lower" else 1.0 for gate in means}
    arms: dict[bool, dict[str, list[Moments]]] = {False: {}, True: {}}
    for cell in cells:
        arm = arms[cell.version != plan.baseline]
        if cell.n:
            arm.setdefault("error_rate", []).append(_share(cell.errors, cell.n))
        for metric in cell.metrics:
            if metric.name in signs:
                moments = Moments(metric.n, signs[metric.name] * metric.mean, metric.m2)
                arm.setdefault(metric.name, []).append(moments)
        for label in cell.labels:
            for value in world.labels[f"labels.{label.name}"]:
                name = f"labels.{label.name}={value}"
                arm.setdefault(name, []).append(_share(label.counts.get(value, 0), cell.n))
    merged = [{name: Moments.merge_all(parts) for name, parts in arms[side].items()} for side in (False, True)]
    return Second(at_s, merged[0], merged[1])


def _share(bad: int, n: int) -> Moments:
    """A rate as the mean of zeros and ones."""
    return Moments(n, bad / n, bad * (n - bad) / n)


def others(world: World, plan: Plan, seed: int) -> list[Row]:
    """What the rules make of one run."""
    lanes = [Lane(rule) for rule in rules_for(world, plan)]
    traffic = Traffic(world, plan, seed=seed, start_ms=START_MS)
    stages = stages_of(plan.ramp)
    opens_s = np.cumsum([stage.hold_ms // 1000 for stage in stages]).tolist()
    end_s, onset_s = min(world.steps, opens_s[-1]), onset_s_of(world)
    requests = harmed = 0
    for at_s in range(end_s):
        stage = stages[sum(at_s >= end for end in opens_s)]
        salt = f"bench-{seed}"
        step = traffic.step(Shares.of(dict.fromkeys(plan.canaries, stage.weight_ppm), plan.canaries, salt))
        second = second_of(at_s, step.cells, plan, world)
        requests += sum(step.requests[1:])
        if onset_s is not None and at_s >= onset_s:
            harmed += sum(step.requests[1:])
        for lane in lanes:
            lane.see(second, requests, harmed)
    for lane in lanes:
        lane.promote(end_s, requests)
        if isinstance(lane.rule, argo_rollouts.ArgoRollouts):
            lane.rule.close()
    return [lane.row(world) for lane in lanes]


def row_of(world: World, ended: Row) -> Row:
    """What ended at ``after_s`` since the start, as a row: since the onset, and with whom a promotion harms later."""
    at_s, onset_s, state, harmed = ended.after_s, onset_s_of(world), ended.state, ended.harmed
    if at_s is None:
        return ended
    if state == "promoted":
        harmed += harmed_by_promotion(world, at_s)
    if state == "rolled_back" and onset_s is not None and at_s < onset_s:
        state = "rolled_back_early"
    return ended._replace(state=state, after_s=at_s - (onset_s or 0), harmed=harmed)


def onset_s_of(world: World) -> int | None:
    """When the canary begins to differ; None when it never does."""
    return None if world.onset_ms is None else world.onset_ms // 1000


def harmed_by_promotion(world: World, at_s: int) -> int:
    """How many requests a canary promoted then answers while it is bad: all that the scenario has left."""
    onset_s = onset_s_of(world)
    return 0 if onset_s is None else world.requests_expected_from(max(at_s, onset_s))
