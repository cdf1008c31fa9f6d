"""The pictures of docs/detectors: what each detector says of good and bad traffic: `python -m bench.pictures`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from detectors.adaptive.drift import Drift
from detectors.adaptive.half_space_trees import HalfSpaceTrees
from detectors.arrays import Floats
from detectors.batches import MeanBatch, RateBatch
from detectors.gaussian.mahalanobis import Mahalanobis
from detectors.gaussian.mewma import Mewma
from detectors.gaussian.online import OnlineGaussian
from detectors.gaussian.seasonal import SeasonalGaussian, Timed
from detectors.gaussian.two_sample import TwoSample
from detectors.histogram_batches import HistogramBatch
from detectors.label_batches import LabelBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.exceedance import Exceedance
from detectors.sequential.joint import Joint
from detectors.sequential.label_mix import LabelMix
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.sequential.sample_ratio import SampleRatio
from detectors.sequential.unit_evalue import UnitEvalue
from detectors.split_batches import SplitBatch
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.scatter import Scatter
from detectors.unit_batches import BUCKETS, UnitBatch
from detectors.vector_batches import VectorBatch

FOLDER: Final = Path(__file__).parent.parent / "docs" / "images" / "detectors"
SEED: Final = 20_261_121
RUNS: Final = 6
WINDOWS, CHANGE = 160, 110
PLAIN, BAD, FINE = "#7f7f7f", "#d62728", "#1f77b4"

Block = Callable[[np.random.Generator, bool, int], Any]
"""Draws the n-th block of one of two kinds, e.g. healthy (False) or harmful (True)."""


class Asked(NamedTuple):
    """What is drawn: the natural log of an e-value of a gate's state, the names of the two kinds, and the abscissa."""

    log_e: Callable[[Any, Any], float]
    names: tuple[str, str]
    colour: str = BAD
    along: str = "requests of the canary"


@contextmanager
def picture(name: str) -> Iterator[Axes]:
    """One small picture, written as SVG in the end; the same bytes for the same data."""
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 3), layout="constrained")
        yield figure.subplots()
        FOLDER.mkdir(parents=True, exist_ok=True)
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})


def fan(axes: Axes, gate: Any, block: Block, asked: Asked, *, blocks: int, each: int) -> None:
    """The evidence of some runs of either kind, and the limit 1/alpha = 20."""
    requests = each * np.arange(1, blocks + 1)
    for other, colour, name in ((False, PLAIN, asked.names[0]), (True, asked.colour, asked.names[1])):
        for run in range(RUNS):
            rng, state, path = np.random.default_rng(SEED + run), gate.start(), np.zeros(blocks)
            for number in range(blocks):
                state = gate.observe(state, block(rng, other, number))
                path[number] = asked.log_e(gate, state) / np.log(10)
            axes.plot(requests, path, color=colour, linewidth=1, alpha=0.8, label=name if run == 0 else None)
    axes.axhline(np.log10(20), color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(-4, 6)
    axes.set_xlabel(asked.along)
    axes.set_ylabel("evidence, powers of ten")
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def rates(rng: np.random.Generator, harmful: bool, _: int) -> RateBatch:
    bad = rng.binomial([95, 5], [0.01, 0.05 if harmful else 0.01]).tolist()
    return RateBatch.of([(1, Rate(95, bad[0]), Rate(5, bad[1]))])


def late_rates(rng: np.random.Generator, harmful: bool, number: int) -> RateBatch:
    late = harmful and number >= 150
    bad = rng.binomial([50, 50], [0.01, 0.05 if late else 0.01]).tolist()
    return RateBatch.of([(1, Rate(50, bad[0]), Rate(50, bad[1]))])


def rates_for_margin(rng: np.random.Generator, equal: bool, _: int) -> RateBatch:
    bad = rng.binomial([50, 50], [0.01, 0.01 if equal else 0.02]).tolist()
    return RateBatch.of([(1, Rate(50, bad[0]), Rate(50, bad[1]))])


def latencies(rng: np.random.Generator, n: int, times: float = 1.0) -> Floats:
    values: Floats = times * 180.0 * np.exp(0.5 * rng.standard_normal(n))
    return values


def means(rng: np.random.Generator, harmful: bool, _: int) -> MeanBatch:
    arms = latencies(rng, 95), latencies(rng, 5, 1.3 if harmful else 1.0)
    return MeanBatch.of([(1, Moments.of(arms[0]), Moments.of(arms[1]))])


def means_for_margin(rng: np.random.Generator, equal: bool, _: int) -> MeanBatch:
    arms = latencies(rng, 50), latencies(rng, 50, 1.0 if equal else 1.1)
    return MeanBatch.of([(1, Moments.of(arms[0]), Moments.of(arms[1]))])


def tails(rng: np.random.Generator, harmful: bool, number: int) -> HistogramBatch:
    canary = latencies(rng, 5)
    if harmful:
        canary = np.where(canary > 400.0, 2.0 * canary, canary)
    arms = LogHistogram.of(latencies(rng, 95)), LogHistogram.of(canary)
    return HistogramBatch.of([(1, *arms)], ended_ms=1_000 * (number + 1))


def mixes(rng: np.random.Generator, harmful: bool, _: int) -> LabelBatch:
    of_b, of_c = rng.binomial([95, 5], [0.1, 0.3 if harmful else 0.1]).tolist()
    arms = ({"stop": n - long, "length": long} for n, long in ((95, of_b), (5, of_c)))
    counts = [Counts({name: count for name, count in arm.items() if count}) for arm in arms]
    return LabelBatch.of([(1, counts[0], counts[1])])


def vectors(rng: np.random.Generator, harmful: bool, _: int) -> VectorBatch:
    rho = -0.2 if harmful else 0.7

    def arm(n: int, correlation: float) -> Scatter:
        z = rng.standard_normal((n, 2))
        u = np.column_stack([z[:, 0], correlation * z[:, 0] + np.sqrt(1 - correlation**2) * z[:, 1]])
        return Scatter.of(np.column_stack([u, u[:, 0] * u[:, 1]]))

    return VectorBatch.of([(1, arm(38, 0.7), arm(2, rho))])


def users(rng: np.random.Generator, harmful: bool, _: int) -> UnitBatch:
    """Twenty requests of each user in one block, correlated; half of the users on the canary."""
    user = rng.integers(0, BUCKETS, 10)
    level = rng.standard_normal(10)
    sums = np.zeros((2, 2, BUCKETS))
    values: list[list[Floats]] = [[], []]
    for side in (0, 1):
        for who, typical in zip(user[side::2], level[side::2], strict=True):
            drawn = 10 + np.sqrt(0.3) * typical + np.sqrt(0.7) * rng.standard_normal(20) + 0.3 * (harmful and side)
            sums[side, 0, who] += 20
            sums[side, 1, who] += drawn.sum()
            values[side].append(drawn)
    m2 = [np.array([Moments.of(np.concatenate(part)).m2]) for part in values]
    (n_b, sum_b), (n_c, sum_c) = sums
    return UnitBatch(np.array([1]), n_b[None], sum_b[None], m2[0], n_c[None], sum_c[None], m2[1])


def units_first_seen(rng: np.random.Generator, broken: bool, _: int) -> SplitBatch:
    canary = int(rng.binomial(20, 0.025 if broken else 0.05))
    return SplitBatch.of([({"v1": 20 - canary, "v2": canary}, {"v1": 0.95, "v2": 0.05})], canaries=("v2",))


def shifted(dimensions: int, by: float) -> Floats:
    """[WINDOWS, p] vectors of windows whose level shifts by some standard deviations at window CHANGE."""
    drawn = np.random.default_rng(SEED).standard_normal((WINDOWS, dimensions))
    drawn[CHANGE:] += by
    return drawn


def vectors_watched(axes: Axes, observer: Any, values: Floats) -> None:
    """What an observer says of each vector, its limit, and its alarms."""
    state, said = observer.start(), []
    for value in values:
        said.append(observer.score(state, value))
        state = observer.learn(state, value)
    _against_limit(axes, [one.value for one in said], [one.limit for one in said], [one.alarm for one in said])


def pairs_watched(axes: Axes) -> None:
    """z of each window of both versions; the canary's mean is 40 % higher from window CHANGE on."""
    observer, rng, said = TwoSample(), np.random.default_rng(SEED), []
    state = observer.start()
    for window in range(WINDOWS):
        arms = latencies(rng, 25, 1.4 if window >= CHANGE else 1.0), latencies(rng, 225)
        pair = Moments.of(arms[0]), Moments.of(arms[1])
        said.append(observer.score(state, pair))
        state = observer.learn(state, pair)
    limit = float(norm.isf(observer.alpha / 2))
    _against_limit(axes, [one.z for one in said], [limit for _ in said], [one.alarm for one in said])


def values_watched(axes: Axes, observer: Any, values: Floats) -> None:
    """The values, and where the observer raised an alarm."""
    state, alarms = observer.start(), []
    for value in values.tolist():
        alarms.append(observer.score(state, value).alarm)
        state = observer.learn(state, value)
    axes.plot(values, color=PLAIN, linewidth=1, label="value")
    _mark(axes, values.tolist(), alarms)


def days_watched(axes: Axes) -> None:
    """Four days of a value with a job every night, which is five standard deviations higher from day 3.5 on; and the
    alarms of the observer with a season and of the one without."""
    rng, per_day = np.random.default_rng(SEED), 288
    hour = np.arange(4 * per_day) % per_day / 12
    values = 2 * np.sin(2 * np.pi * hour / 24) + 12 * ((hour >= 2) & (hour < 4)) + rng.standard_normal(hour.size)
    values[round(3.5 * per_day) :] += 5
    seasonal, plain = SeasonalGaussian(period_ms=per_day, phases=24, forgetting=1 / 36), OnlineGaussian(forgetting=0.02)
    known, state = plain.start(), seasonal.start()
    alarms: tuple[list[int], list[int]] = ([], [])
    for at, value in enumerate(values.tolist()):
        said = plain.score(known, value), seasonal.score(state, Timed(at, value))
        for one, found in zip(said, alarms, strict=True):
            if one.alarm:
                found.append(at)
        known, state = plain.learn(known, value), seasonal.learn(state, Timed(at, value))
    axes.plot(np.arange(hour.size) / per_day, values, color=PLAIN, linewidth=1, label="value")
    for found, mark, colour, name in ((alarms[0], "x", FINE, "no season"), (alarms[1], "o", BAD, "season of a day")):
        axes.plot(np.array(found) / per_day, values[found], mark, color=colour, markersize=4, label=f"alarm, {name}")
    axes.axvline(3.5, color=BAD, linewidth=0.6, linestyle="--")
    axes.set_xlabel("days")
    axes.set_ylim(-9, 18)
    axes.legend(fontsize=8, frameon=False, loc="lower center", ncols=3)


def _against_limit(axes: Axes, values: list[Any], limits: list[Any], alarms: list[Any]) -> None:
    axes.plot([np.nan if one is None else one for one in values], color=PLAIN, linewidth=1, label="distance")
    known = [np.nan if one is None else one for one in limits]
    axes.plot(known, color="black", linewidth=0.8, linestyle=":", label="limit")
    _mark(axes, values, alarms)


def _mark(axes: Axes, values: list[Any], alarms: list[Any]) -> None:
    at = [index for index, alarm in enumerate(alarms) if alarm]
    axes.plot(at, [values[index] for index in at], "o", color=BAD, markersize=4, label="alarm")
    axes.axvline(CHANGE, color=BAD, linewidth=0.6, linestyle="--")
    axes.set_xlabel("windows")
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def observers() -> None:
    """One picture for each observer; what it watches changes at window CHANGE."""
    for name, observer, by in (
        ("mahalanobis", Mahalanobis(dimensions=3), 2.0),
        ("mewma", Mewma(dimensions=3), 0.7),
        ("half_space_trees", HalfSpaceTrees(dimensions=3), 2.0),
    ):
        with picture(name) as axes:
            vectors_watched(axes, observer, shifted(3, by))
    with picture("two_sample") as axes:
        pairs_watched(axes)
    with picture("seasonal") as axes:
        days_watched(axes)
    for name, single, by in (
        ("online", OnlineGaussian(forgetting=0.01), 4.0),
        ("adwin", Drift(method="adwin"), 2.0),
        ("page_hinkley", Drift(method="page-hinkley"), 2.0),
    ):
        with picture(name) as axes:
            values_watched(axes, single, shifted(1, by)[:, 0])


def gates() -> None:
    """One picture for each gate."""
    fail = Asked(lambda gate, state: gate.evidence(state), ("healthy", "harmful"))
    split = Asked(
        lambda gate, state: gate.log_evidence(state), ("as asked", "half the share"), along="units first seen"
    )
    passed = Asked(lambda gate, state: gate.excluded(state)[0][0], ("at the margin", "equal"), FINE)
    for name, gate, block, asked, blocks, each in (
        ("evalue_2x2", Evalue2x2(), rates, fail, 100, 5),
        ("onset", Evalue2x2(), late_rates, fail, 250, 50),
        ("mean_evalue", MeanEvalue(), means, fail, 100, 5),
        ("exceedance", Exceedance(level=0.99, tolerance=0.0, margin=0.15), tails, fail, 250, 5),
        ("label_mix", LabelMix(0.0, (0.1,)), mixes, fail, 100, 5),
        ("joint", Joint(dimensions=3), vectors, fail, 150, 2),
        ("unit_gates", UnitEvalue(), users, fail, 150, 100),
        ("margin_2x2", Margin2x2(margins=(0.01,)), rates_for_margin, passed, 60, 50),
        ("bounds", MeanBound(margins=(0.1,)), means_for_margin, passed, 30, 50),
        ("sample_ratio", SampleRatio(canaries=("v2",)), units_first_seen, split, 100, 20),
    ):
        with picture(name) as axes:
            fan(axes, gate, block, asked, blocks=blocks, each=each)
            if asked is split:
                axes.axhline(3, color="black", linewidth=0.8, linestyle="--")


def main() -> None:
    """Draw all of them."""
    gates()
    observers()


if __name__ == "__main__":
    main()
