"""How long judging takes: `python -m bench.judgement`. No broker; one process, CPU time.

An evaluation adds one beat in which a block of every segment closes, and rules. A release is an hour of 50 requests/s
that is evaluated every second, by the very fold of the worker.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from bench.unit_beats import Beat, unit_beats
from detectors.state_codec import encode_state
from detectors.summaries.counts import Counts
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.assessment import assess
from releases.judge import JudgeState, observe, start_judge
from releases.ruling import rule
from schemas.plan import Plan, parse_plan
from streams.cli.simulate import read_world
from streams.offline.simulate import simulate

SCENARIOS = Path(__file__).parents[1] / "examples" / "scenarios"
RESULT = Path(__file__).parent / "results" / "judgement.json"
GATES = (
    "{name: error_rate, margin: 1%}",
    "{name: latency_ms, margin: 10%}",
    "{name: values.tokens_out, margin: 10%}",
    "{name: latency_ms, margin: 15%, statistic: p99}",
    "{name: labels.finish_reason, margin: 5%}",
)
SIZES = ((1, 1), (3, 1), (3, 10), (5, 1), (5, 10))
"""Gates and segments that are measured."""

BEAT_MS = 250


def plan_of(gates: int, independent: str = "request") -> Plan:
    """A plan with the first few gates."""
    metrics = "".join(f"  - {gate}\n" for gate in GATES[:gates])
    ramp = "{kind: stages, steps: [{weight: 5%, hold: 1m}, {weight: 50%, hold: 1m}]}"
    head = f"service: chat\nbaseline: v1\ncanaries: [v2]\nindependent: {independent}\nramp: {ramp}\nmetrics:\n"
    return parse_plan(head + metrics, file="judgement")


def beats_of(segments: int, count: int) -> list[Beat]:
    """Beats with a hundred requests in each segment, five of them of the canary; fixed seed."""
    rng = np.random.default_rng(1)

    def arm(n: int) -> Summary:
        metrics = {name: Measure.of(rng.lognormal(5.0, 0.5, n)) for name in ("latency_ms", "values.tokens_out")}
        cut = int(rng.binomial(n, 0.1))
        kept = {value: k for value, k in (("length", cut), ("stop", n - cut)) if k}
        return Summary(Rate(n, int(rng.binomial(n, 0.01))), metrics, {"finish_reason": Counts(kept)})

    arms = (("v1", 95), ("v2", 5))
    return [{(version, f"s{i}"): arm(n) for i in range(segments) for version, n in arms} for _ in range(count)]


def median_ms(work: Callable[[int], object], rounds: int) -> float:
    """Median CPU time of a round, ms."""
    times = []
    for index in range(rounds):
        start = time.process_time()
        work(index)
        times.append(time.process_time() - start)
    return 1_000 * float(np.median(times))


def thousand_numpy_calls() -> None:
    """A fixed workload to compare with: numpy calls on arrays as small as a gate's."""
    x = np.full((11, 6), 0.5)
    for _ in range(250):
        np.log(np.exp(x - x.max(axis=1)[:, None]).sum(axis=1))


def numpy_ms(rounds: int = 21) -> float:
    """CPU time of a thousand numpy calls, ms."""
    return median_ms(lambda _index: thousand_numpy_calls(), rounds)


def evaluation_ms(gates: int, segments: int, rounds: int = 60, *, by_unit: bool = False) -> dict[str, float]:
    """Median CPU time of an evaluation and its parts, when half the rounds have warmed everything up."""
    plan = plan_of(gates, "unit" if by_unit else "request")
    beats = unit_beats(segments, 2 * rounds) if by_unit else beats_of(segments, 2 * rounds)
    states: list[JudgeState] = [start_judge(plan)]

    def see(index: int) -> None:
        states.append(observe(plan, states[-1], beats[index], beat_end_ms=BEAT_MS * len(states)))

    for index in range(rounds):
        see(index)
    observed = median_ms(lambda index: see(rounds + index), rounds)
    after = states[-rounds:]
    ruled = median_ms(lambda index: rule(plan, after[index], running=("v2",), for_share_ppm=500_000), rounds)
    told = median_ms(lambda index: assess(plan, after[index], running=("v2",), for_share_ppm=500_000), rounds)
    state_kb = len(encode_state(after[-1])) / 1_000
    times = {"observe_ms": observed, "rule_ms": ruled, "evaluation_ms": observed + ruled, "in_words_ms": told}
    return {**times, "state_kb": state_kb}


def mix_by_unit(values: int, segments: int = 10, rounds: int = 60) -> dict[str, float]:
    """Median CPU time of an evaluation of one output mix where users are counted, and the size of its state."""
    head, metrics = plan_of(1, "unit"), plan_of(5, "unit").metrics
    plan, times = msgspec.structs.replace(head, metrics=metrics[4:]), []
    state = start_judge(plan)
    for index, beat in enumerate(unit_beats(segments, 2 * rounds, values), 1):
        start = time.process_time()
        state = observe(plan, state, beat, beat_end_ms=BEAT_MS * index)
        rule(plan, state, running=("v2",), for_share_ppm=500_000)
        times.append(time.process_time() - start)
    evaluation_ms = 1_000 * float(np.median(times[rounds:]))
    return {"values": values, "evaluation_ms": evaluation_ms, "state_kb": len(encode_state(state)) / 1_000}


def releases_per_minute(releases: int) -> float:
    """One-hour releases at 5 % with three gates that a core simulates in a minute, one after another."""
    plan = parse_plan((SCENARIOS / "plans" / "share-5.yaml").read_text(encoding="utf-8"), file="share-5")
    world = read_world(SCENARIOS / "healthy.yaml", plan)
    start = time.process_time()
    for seed in range(releases):
        simulate(world, plan, seed=seed)
    return 60.0 * releases / (time.process_time() - start)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=3)
    releases = parser.parse_args().releases
    rows = [{"gates": g, "segments": s} | evaluation_ms(g, s) for g, s in SIZES]
    by_unit = [{"gates": g, "segments": s} | evaluation_ms(g, s, by_unit=True) for g, s in SIZES]
    found = {
        "evaluations": rows,
        "by_unit": by_unit,
        "mixes": [mix_by_unit(values) for values in (2, 8, 16)],
        "numpy_ms": numpy_ms(),
        "releases_per_minute": releases_per_minute(releases),
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
