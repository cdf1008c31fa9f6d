"""How soon gates find harm and its absence, and how often they err at the edge: `python -m bench.bars --releases 1000`.

Single gates at tolerance 0 unless a line says otherwise, with the mixture over start times; independent requests;
each release is a row, or a group of rows, of one state.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from bench.healthy import FOLDER, outcome, plan_of
from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.histogram_batches import HistogramBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.exceedance import Exceedance
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.sequential.onset import log_by_group
from detectors.sequential.step_margin import Exceedances, advance_step, excluded_step, start_step
from detectors.summaries.log_histogram import LogHistogram
from streams.cli.simulate import read_world
from streams.offline.fleet import Fleet

RESULT = Path(__file__).parent / "results" / "bars.json"
ALPHA = 0.05
SHOWN = -log(ALPHA)
NEVER = 10**9
SEGMENTS = 10

Measured = dict[str, float]
Says = Callable[[], Floats]


def first_hits(says: Iterator[Floats], blocks: int) -> Ints:
    """[releases] blocks until the evidence reaches 1 / alpha, or NEVER."""
    hits: Ints = np.zeros(0, dtype=np.int64)
    for t, evidence in zip(range(1, blocks + 1), says, strict=False):
        if not hits.size:
            hits = np.full(evidence.size, NEVER)
        hits[(hits == NEVER) & (evidence >= SHOWN)] = t
        if (hits < NEVER).all():
            break
    return hits


def found(hits: Ints, each: float) -> Measured:
    """Median and 90th percentile of the requests until then, and in how many releases it never came."""
    median, p90 = (float(np.percentile(hits, q, method="inverted_cdf")) for q in (50, 90))
    return {"median": median * each, "p90": p90 * each, "missed": float((hits == NEVER).mean())}


def share(hits: Ints) -> Measured:
    """How many releases reached it."""
    return {"share": float((hits < NEVER).mean())}


def rates(gate: Any, p: Callable[[int], tuple[float, float]], n: tuple[int, int], releases: int) -> Iterator[Floats]:
    """Evidence of a gate on rates, block by block; ``p`` gives both arms' rates at a block."""
    rng, rows = np.random.default_rng(70), np.arange(1, releases + 1)
    state = gate.start()
    for t in range(NEVER):
        p_b, p_c = p(t)
        state = gate.observe(state, tables(rng, rows, n, (p_b, np.full(releases, p_c))))
        yield gate.harm(state)[1:] if isinstance(gate, Evalue2x2) else gate.excluded(state)[1:, 0]


def tables(
    rng: np.random.Generator, rows: Ints, n: tuple[int, int], p: tuple[float, Floats], stride: int | None = None
) -> RateBatch:
    """One block in each row: of the baseline at one rate, of the canary at a rate for each row."""
    one = np.ones(rows.size)
    k_b, k_c = rng.binomial(n[0], p[0], rows.size), rng.binomial(n[1], p[1])
    return RateBatch(rows, n[0] * one, k_b.astype(np.float64), n[1] * one, k_c.astype(np.float64), stride)


def means(gate: Any, draws: tuple[Any, Any], n: tuple[int, int], releases: int) -> Iterator[Floats]:
    """The same of a gate on means; a draw makes values from a generator and a shape."""
    rng, rows = np.random.default_rng(71), np.arange(1, releases + 1)
    state = gate.start()
    while True:
        arms = (moments(draw(rng, (releases, size))) for draw, size in zip(draws, n, strict=True))
        state = gate.observe(state, MeanBatch(rows, *next(arms), *next(arms)))
        yield gate.harm(state)[1:] if isinstance(gate, MeanEvalue) else gate.excluded(state)[1:, 0]


def moments(x: Floats) -> tuple[Floats, Floats, Floats]:
    """n, mean and m2 of each row."""
    mean = x.mean(axis=1)
    return np.full(mean.size, float(x.shape[1])), mean, ((x - mean[:, None]) ** 2).sum(axis=1)


def lognormal(rng: np.random.Generator, shape: tuple[int, int], times: float = 1.0) -> Floats:
    """Latencies."""
    return times * rng.lognormal(0.0, 0.5, shape)


def normal(rng: np.random.Generator, shape: tuple[int, int], mean: float = 10.0) -> Floats:
    """Values with a standard deviation of half the healthy mean."""
    return rng.normal(mean, 5.0, shape)


def errors(rate: float, n: tuple[int, int], releases: int) -> Measured:
    """Canary requests until 1 % → rate is shown."""
    return found(first_hits(rates(Evalue2x2(), lambda _: (0.01, rate), n, releases), 1_000), n[1])


def shifted(sd: float, releases: int) -> Measured:
    """Requests per arm until a mean shifted by a part of its standard deviation is shown."""
    draws = (normal, partial(normal, mean=10.0 + 5.0 * sd))
    return found(first_hits(means(MeanEvalue(), draws, (10, 10), releases), 1_000), 10)


def late_onset(releases: int) -> Measured:
    """Blocks of 100 at 50 % from an onset after 300 healthy ones, 1 → 5 %."""
    hits = first_hits(rates(Evalue2x2(), lambda t: (0.01, 0.05 if t >= 300 else 0.01), (50, 50), releases), 400)
    return found(hits[hits > 300] - 300, 1)


def tail(times: float, releases: int) -> Measured:
    """Canary requests at 5 % until a p99 is shown to be worse whose slowest twentieth takes that many times as long."""
    p95, hits = float(np.exp(0.5 * 1.6448536269514722)), []
    gate = Exceedance(level=0.99, tolerance=0.0, margin=0.15)
    for seed in range(releases):
        rng = np.random.default_rng([72, seed])
        learned = HistogramBatch.of(
            [(1, LogHistogram.of(rng.lognormal(0, 0.5, 6000)), LogHistogram.empty())], ended_ms=0
        )
        state, t = gate.observe(gate.start(), learned), 0
        while gate.evidence(state) < SHOWN and t < 400:
            t += 1
            b, c = rng.lognormal(0, 0.5, 95), rng.lognormal(0, 0.5, 5)
            arms = LogHistogram.of(b), LogHistogram.of(np.where(c > p95, times * c, c))
            state = gate.observe(state, HistogramBatch.of([(1, *arms)], ended_ms=2_000 * t))
        hits.append(t if t < 400 else NEVER)
    return found(np.array(hits), 5)


def in_segments(broken: int, rate: float, n: tuple[int, int], tolerated: bool, releases: int) -> Measured:
    """Three gates, ten segments, half and half: canary requests until 1 % → rate is shown, in some of the segments.

    The other gates judge healthy means. With ``tolerated`` by the tolerances that go with margins of .5 % and 10 %.
    """
    rng, stride = np.random.default_rng(73), SEGMENTS + 1
    rows = np.arange(releases * stride)
    rows = rows[rows % stride > 0]
    p_c = np.where(np.arange(rows.size) % SEGMENTS < broken, rate, 0.01)
    gates: list[Any] = [Evalue2x2(0.00125 if tolerated else 0.0)]
    gates += [MeanEvalue(0.025 if tolerated else 0.0)] * 2
    states = [gate.start() for gate in gates]

    def says() -> Iterator[Floats]:
        while True:
            batches: list[Any] = [tables(rng, rows, n, (0.01, p_c), stride)]
            for _ in range(2):
                arms = (moments(lognormal(rng, (rows.size, size))) for size in n)
                batches.append(MeanBatch(rows, *next(arms), *next(arms), stride))
            states[:] = [g.observe(s, b) for g, s, b in zip(gates, states, batches, strict=True)]
            logs = [log_by_group(state.mixture, stride) for state in states]
            yield np.logaddexp.reduce(logs, axis=0) - log(3)

    return found(first_hits(says(), 1_500), n[1] * SEGMENTS)


def at_margin_p99(n: tuple[int, int], releases: int) -> Measured:
    """Canaries whose p99 is exactly the margin worse that pass; counts are drawn, since only they matter."""
    rng, rows, one = np.random.default_rng(74), np.arange(1, releases + 1), np.ones(releases)

    def says() -> Iterator[Floats]:
        state = start_step(1)
        while True:
            k_b = rng.binomial(n[0], 0.01, releases)
            far_b, far_c = rng.binomial(k_b, 0.4), rng.binomial(n[1], 0.01, releases)
            beyond = [k.astype(np.float64) for k in (k_b, far_b, far_c)]
            seen = Exceedances(rows, n[0] * one, n[1] * one, beyond[0], beyond[1], beyond[2], np.zeros(1))
            state = advance_step(state, seen, prior_rate=0.01)
            yield excluded_step(state)[1:, 0]

    return share(first_hits(says(), 600))


def at_margin(kind: str, n: tuple[int, int], releases: int) -> Measured:
    """Canaries exactly at the margin (1 point, 10 %) that pass within 600 blocks."""
    if kind == "rate":
        return share(first_hits(rates(Margin2x2((0.01,)), lambda _: (0.01, 0.02), n, releases), 600))
    draws = (lognormal, partial(lognormal, times=1.1))
    return share(first_hits(means(MeanBound((0.1,)), draws, n, releases), 600))


def equal(n: tuple[int, int], releases: int) -> Measured:
    """Canary requests until an equal canary at 1 % is shown to be within 1 point."""
    return found(first_hits(rates(Margin2x2((0.01,)), lambda _: (0.01, 0.01), n, releases), 4_000), n[1])


def healthy(n: tuple[int, int], blocks: int, releases: int) -> Measured:
    """Healthy releases, 1 % errors, in which a single gate ever fails."""
    return share(first_hits(rates(Evalue2x2(), lambda _: (0.01, 0.01), n, releases), blocks))


def late_harm(releases: int) -> Measured:
    """Whole releases with harm in their last tenth that are promoted."""
    plan = plan_of("share-50")
    ended = Fleet(read_world(FOLDER / "harm-in-the-last-tenth.yaml", plan), plan, range(releases)).run()
    return {"share": sum(outcome(one) == "promoted" for one in ended) / releases}


P5, P50 = (95, 5), (50, 50)
SMALL5, SMALL50 = (19, 1), (10, 10)
BARS: tuple[tuple[str, str, float | None, Callable[[int], Measured]], ...] = (
    ("errors 1 → 2 %, 5 % share, blocks of 100", "canary requests", 1_000, partial(errors, 0.02, P5)),
    ("errors 1 → 5 %, 5 % share, blocks of 100", "canary requests", 110, partial(errors, 0.05, P5)),
    ("errors 1 → 5 %, 50 % share, blocks of 100", "canary requests", None, partial(errors, 0.05, P50)),
    ("mean + 0.1 sd, 50 % share", "requests per arm", 1_700, partial(shifted, 0.1)),
    ("mean + 0.2 sd, 50 % share", "requests per arm", 430, partial(shifted, 0.2)),
    ("mean + 0.5 sd, 50 % share", "requests per arm", 110, partial(shifted, 0.5)),
    ("p99, slowest twentieth × 2, 5 % share", "canary requests", 120, partial(tail, 2.0)),
    (
        "three gates, ten segments: total 1 → 2 %, 5 % share",
        "canary requests",
        1_600,
        partial(in_segments, SEGMENTS, 0.02, SMALL5, False),
    ),
    (
        "three gates, ten segments: one 1 → 5 %, 5 % share",
        "canary requests",
        2_400,
        partial(in_segments, 1, 0.05, SMALL5, False),
    ),
    (
        "the same, total 1 → 2 %, default tolerance",
        "canary requests",
        None,
        partial(in_segments, SEGMENTS, 0.02, SMALL5, True),
    ),
    ("the same, one 1 → 5 %, default tolerance", "canary requests", None, partial(in_segments, 1, 0.05, SMALL5, True)),
    ("errors 1 → 5 % after 300 healthy blocks of 100, 50 % share", "blocks", 15, late_onset),
    ("healthy for 3,600 blocks of 100, 50 % share", "fail", ALPHA, partial(healthy, P50, 3_600)),
    ("healthy for 3,600 blocks of 100, 5 % share", "fail", ALPHA, partial(healthy, P5, 3_600)),
    ("rate at the margin of 1 point, 5 % share", "pass", ALPHA, partial(at_margin, "rate", P5)),
    ("rate at the margin of 1 point, 50 % share", "pass", ALPHA, partial(at_margin, "rate", (25, 25))),
    ("mean at the margin of 10 %, 5 % share", "pass", ALPHA, partial(at_margin, "mean", SMALL5)),
    ("mean at the margin of 10 %, 50 % share", "pass", ALPHA, partial(at_margin, "mean", SMALL50)),
    ("p99 at the margin of 15 %, 5 % share", "pass", ALPHA, partial(at_margin_p99, P5)),
    ("p99 at the margin of 15 %, 50 % share", "pass", ALPHA, partial(at_margin_p99, P50)),
    ("equal at errors of 1 %, margin 1 point, 50 % share", "canary requests", 1_500, partial(equal, (25, 25))),
    ("equal at errors of 1 %, margin 1 point, 5 % share", "canary requests", None, partial(equal, P5)),
    ("harm in the last tenth, whole release", "promoted", 0.0, late_harm),
)
"""What is asked, in what the answer is, what it must not exceed, and how it is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=1_000, help="for each line")
    asked = parser.parse_args()
    lines = []
    for name, unit, limit, measure in BARS:
        measured = measure(asked.releases)
        lines.append({"name": name, "unit": unit, "limit": limit, **measured})
        print(name, unit, limit, measured, flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"releases": asked.releases, "bars": lines}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
