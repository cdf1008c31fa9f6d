"""What every detector must do, checked for every detector; an audit finds those that are left out."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, cast

import msgspec
import numpy as np
import pytest

import detectors.adaptive
import detectors.gaussian
import detectors.sequential
from detectors.adaptive.drift import Drift, DriftState
from detectors.adaptive.half_space_trees import HalfSpaceTrees, HalfSpaceTreesState
from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.gaussian.mahalanobis import Mahalanobis, MahalanobisState
from detectors.gaussian.mewma import Mewma, MewmaState
from detectors.gaussian.online import OnlineGaussian, OnlineGaussianState
from detectors.gaussian.seasonal import SeasonalGaussian, SeasonalState, Timed
from detectors.gaussian.two_sample import TwoSample, TwoSampleState
from detectors.histogram_batches import HistogramBatch
from detectors.label_batches import LabelBatch
from detectors.sequential.bounds import MeanBound, MeanBoundState
from detectors.sequential.effect import Effect, EffectState
from detectors.sequential.evalue_2x2 import Evalue2x2, Evalue2x2State
from detectors.sequential.exceedance import Exceedance, ExceedanceState
from detectors.sequential.joint import Joint, JointState
from detectors.sequential.label_mix import LabelMix, LabelMixState
from detectors.sequential.margin_2x2 import Margin2x2, Margin2x2State
from detectors.sequential.mean_evalue import MeanEvalue, MeanEvalueState
from detectors.sequential.sample_ratio import SampleRatio, SampleRatioState
from detectors.sequential.unit_bound import UnitBound, UnitBoundState
from detectors.sequential.unit_evalue import UnitEvalue, UnitEvalueState
from detectors.sequential.unit_exceedance import UnitExceedance, UnitExceedanceState, UnitTails
from detectors.sequential.unit_mix import UnitMix
from detectors.sequential.unit_mix_state import UnitMixState
from detectors.split_batches import SplitBatch
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.moments import Moments
from detectors.summaries.scatter import Scatter
from detectors.unit_batches import BUCKETS, UnitBatch
from detectors.unit_label_batches import UnitLabels
from detectors.vector_batches import VectorBatch

ROWS = 4


class Case(msgspec.Struct, frozen=True):
    """A detector, how it takes an input, what it says, and inputs to try."""

    detector: Any
    state: type
    take: Callable[[Any, Any], Any]
    says: Callable[[Any], list[float | None]]
    draw: Callable[[np.random.Generator, int], Any]
    nothing: float | None
    refused: tuple[Callable[[], Any], ...]


def rates(rng: np.random.Generator, number: int = 0) -> RateBatch:
    """Blocks of up to three of the segments; some with one arm only."""
    rows = np.flatnonzero(rng.random(ROWS - 1) < 0.8) + 1
    n_b, n_c = rng.integers(0, 40, rows.size), rng.integers(0, 10, rows.size)
    k_b, k_c = rng.binomial(n_b, 0.02), rng.binomial(n_c, 0.05)
    counts = [x.astype(np.float64) for x in (n_b, k_b, n_c, k_c)]
    return RateBatch(rows, counts[0], counts[1], counts[2], counts[3])


def means(rng: np.random.Generator, number: int = 0) -> MeanBatch:
    """The same for means."""
    batch = rates(rng)
    mean_b, mean_c = rng.normal(100.0, 5.0, (2, batch.rows.size))
    spread = (900.0 * np.maximum(n - 1.0, 0.0) for n in (batch.n_b, batch.n_c))
    m2_b, m2_c = spread
    return MeanBatch(batch.rows, n_b=batch.n_b, mean_b=mean_b, m2_b=m2_b, n_c=batch.n_c, mean_c=mean_c, m2_c=m2_c)


def histograms(rng: np.random.Generator, number: int) -> HistogramBatch:
    """The same for quantiles: values of fifty kinds, so that histograms do not grow; a minute for each six inputs."""
    rows = np.flatnonzero(rng.random(ROWS - 1) < 0.8) + 1

    def arm(size: int, low: int) -> LogHistogram:
        return LogHistogram.of(rng.integers(low, 51, size).astype(np.float64) ** 2)

    entries = [(int(row), arm(400, 1), arm(int(rng.integers(0, 100)), 3)) for row in rows]
    return HistogramBatch.of(entries, ended_ms=10_000 * number)


def labels(rng: np.random.Generator, number: int) -> LabelBatch:
    """The same for an output mix of five values."""
    rows = np.flatnonzero(rng.random(ROWS - 1) < 0.8) + 1

    def arm(n: int, shares: list[float]) -> Counts:
        counts = rng.multinomial(n, shares)
        return Counts({name: int(count) for name, count in zip("abcde", counts, strict=True) if count})

    return LabelBatch.of(
        [
            (int(row), arm(int(rng.integers(0, 40)), [0.6, 0.2, 0.1, 0.05, 0.05]), arm(10, [0.5, 0.2, 0.2, 0.05, 0.05]))
            for row in rows
        ]
    )


def broken_rates(bad: float) -> Callable[[], RateBatch]:
    one = np.ones(1)
    return lambda: RateBatch(np.array([1]), one, one * bad, one, one)


def broken_means(bad: float) -> Callable[[], MeanBatch]:
    one = np.ones(1)
    return lambda: MeanBatch(np.array([1]), n_b=one, mean_b=one * bad, m2_b=one, n_c=one, mean_c=one, m2_c=one)


def gate(detector: Any, state: type, says: str) -> Case:
    """A gate's case: it takes batches of rates or of means, and says an array."""
    of_rates = isinstance(detector, Evalue2x2 | Margin2x2)
    broken = broken_rates if of_rates else broken_means
    return Case(
        detector,
        state,
        take=detector.observe,
        says=lambda s: list(np.ravel(getattr(detector, says)(s))),
        draw=rates if of_rates else means,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


def observer(detector: OnlineGaussian) -> Case:
    """An observer's case: it says z, unusual and alarm of a fixed value."""

    def says(state: OnlineGaussianState) -> list[float | None]:
        score = detector.score(state, 130.0)
        return [score.z, score.unusual, score.alarm]

    def refused(bad: float) -> tuple[Callable[[], Any], ...]:
        return (lambda: detector.score(detector.start(), bad), lambda: detector.learn(detector.start(), bad))

    return Case(
        detector,
        OnlineGaussianState,
        take=detector.learn,
        says=says,
        draw=lambda rng, _: float(rng.normal(100.0, 10.0)),
        nothing=None,
        refused=refused(float("nan")) + refused(float("inf")),
    )


def seasonal(detector: SeasonalGaussian) -> Case:
    """The case of an observer with a season: ten values in each, of four phases; it speaks of the phase at hand."""

    def says(state: SeasonalState) -> list[float | None]:
        said = [detector.score(state, Timed(at_ms, 130.0)) for at_ms in range(10**9, 10**9 + 100, 25)]
        return [value for one in said for value in (one.z, one.unusual, one.alarm)]

    def refused(bad: float) -> tuple[Callable[[], Any], ...]:
        x = Timed(0, bad)
        return (lambda: detector.score(detector.start(), x), lambda: detector.learn(detector.start(), x))

    return Case(
        detector,
        SeasonalState,
        take=detector.learn,
        says=says,
        draw=lambda rng, number: Timed(10 * number, float(rng.normal(100.0 + 10 * (number % 10 > 4), 10.0))),
        nothing=None,
        refused=refused(float("nan")) + refused(float("inf")),
    )


def vectors(detector: Mahalanobis | Mewma | HalfSpaceTrees, state: type) -> Case:
    """The case of an observer of vectors: it says the oddness of a fixed one."""
    watcher = cast(Any, detector)

    def says(known: Any) -> list[float | None]:
        said = watcher.score(known, np.array([130.0, 1.0]))
        return [said.value, said.limit, said.unusual, said.alarm]

    def refused(bad: list[float]) -> tuple[Callable[[], Any], ...]:
        x = np.array(bad)
        return (lambda: watcher.score(watcher.start(), x), lambda: watcher.learn(watcher.start(), x))

    return Case(
        detector,
        state,
        take=watcher.learn,
        says=says,
        draw=lambda rng, _: rng.normal((100.0, 1.0), (10.0, 0.5)),
        nothing=None,
        refused=refused([np.nan, 1.0]) + refused([1.0, np.inf]) + refused([1.0, 2.0, 3.0]),
    )


def drift(detector: Drift) -> Case:
    """A drift detector's case: it says what it thinks of a fixed value."""

    def says(state: DriftState) -> list[float | None]:
        said = detector.score(state, 130.0)
        return [said.z, said.unusual, said.alarm]

    def refused(bad: float) -> tuple[Callable[[], Any], ...]:
        return (lambda: detector.score(detector.start(), bad), lambda: detector.learn(detector.start(), bad))

    return Case(
        detector,
        DriftState,
        take=detector.learn,
        says=says,
        draw=lambda rng, _: float(rng.normal(100.0, 10.0)),
        nothing=None,
        refused=refused(float("nan")) + refused(float("-inf")),
    )


def two_sample(detector: TwoSample) -> Case:
    """The case of an observer of pairs: it says what it thinks of a fixed pair; moments refuse the rest."""
    fixed = Moments(50, 100.0, 4900.0), Moments(50, 107.0, 4900.0)

    def says(state: TwoSampleState) -> list[float | None]:
        if not state.n:
            return [None]
        said = detector.score(state, fixed)
        return [said.z, said.unusual, said.alarm]

    return Case(
        detector,
        TwoSampleState,
        take=detector.learn,
        says=says,
        draw=lambda rng, _: (Moments.of(rng.normal(100.0, 10.0, 50)), Moments.of(rng.normal(101.0, 10.0, 50))),
        nothing=None,
        refused=(lambda: Moments(5, np.nan, 1.0), lambda: Moments(5, 1.0, np.inf)),
    )


def effect(detector: Effect) -> Case:
    """The effect's case: it says the fields of every row's estimate."""

    def says(state: EffectState) -> list[float | None]:
        estimates = [detector.estimate(state, row) for row in range(ROWS)]
        return [value for e in estimates for value in (e.baseline, e.canary, e.effect, e.low, e.high)]

    return Case(
        detector,
        EffectState,
        take=detector.observe,
        says=says,
        draw=means,
        nothing=None,
        refused=(broken_means(np.nan), broken_means(np.inf)),
    )


def quantile(detector: Exceedance) -> Case:
    """A quantile gate's case: it says its evidence of harm and of its absence."""

    def says(state: ExceedanceState) -> list[float | None]:
        gates = (detector.harm(state), detector.excluded(state), detector.excluded(state, recent=True))
        return [float(value) for said in gates for value in np.ravel(said)]

    nothing = LogHistogram.empty()
    return Case(
        detector,
        ExceedanceState,
        take=detector.observe,
        says=says,
        draw=histograms,
        nothing=0.0,
        refused=(
            lambda: LogHistogram.of(np.array([np.nan])),
            lambda: HistogramBatch.of([(1, nothing, nothing)], ended_ms=np.inf),  # type: ignore[arg-type]  # wrong
        ),
    )


def mix(detector: LabelMix) -> Case:
    """A mix gate's case: it says its evidence of harm and of its absence."""

    def says(state: LabelMixState) -> list[float | None]:
        gates = (detector.harm(state), detector.excluded(state), detector.excluded(state, recent=True))
        return [float(value) for said in gates for value in np.ravel(said)]

    def broken(bad: float) -> Callable[[], LabelBatch]:
        one = np.ones((1, 1))
        return lambda: LabelBatch(np.array([1]), ("a",), one * bad, one)

    return Case(
        detector,
        LabelMixState,
        take=detector.observe,
        says=says,
        draw=labels,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


def joint(detector: Joint) -> Case:
    """The joint gate's case: vectors of three coordinates in two of the segments, and one of the baseline alone."""

    def draw(rng: np.random.Generator, _: int) -> VectorBatch:
        def arm(n: int) -> Scatter:
            return Scatter.of(rng.normal(size=(n, 3)))

        return VectorBatch.of([(1, arm(20), arm(5)), (2, arm(9), arm(9)), (3, arm(5), arm(1)), (4, arm(3), arm(0))])

    def broken(bad: float) -> Callable[[], VectorBatch]:
        one, row = np.ones(1), np.array([1])
        return lambda: VectorBatch(row, one, np.full((1, 1), bad), np.ones((1, 1, 1)), one, one[None], one[None, None])

    return Case(
        detector,
        JointState,
        take=detector.observe,
        says=lambda state: [*detector.harm(state), detector.evidence(state)],
        draw=draw,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


def by_unit(detector: UnitEvalue | UnitBound) -> Case:
    """The case of a gate on units: errors in each bucket of up to three of the segments."""

    def draw(rng: np.random.Generator, _: int) -> UnitBatch:
        rows = np.flatnonzero(rng.random(ROWS - 1) < 0.8) + 1
        n_b, n_c = (rng.binomial(1, share, (rows.size, BUCKETS)) for share in (0.2, 0.05))
        counts = (n_b, rng.binomial(n_b, 0.02), n_c, rng.binomial(n_c, 0.05))
        floats = [count.astype(np.float64) for count in counts]
        return UnitBatch.of_counts(rows, n_b=floats[0], k_b=floats[1], n_c=floats[2], k_c=floats[3])

    def broken(bad: float) -> Callable[[], UnitBatch]:
        one = np.ones((1, BUCKETS))
        return lambda: UnitBatch.of_counts(np.array([1]), n_b=one, k_b=one * bad, n_c=one, k_c=one)

    def says(state: Any) -> list[float | None]:
        if isinstance(detector, UnitEvalue):
            return list(detector.harm(state))
        return [*np.ravel(detector.excluded(state)), *np.ravel(detector.excluded(state, recent=True))]

    return Case(
        detector,
        UnitEvalueState if isinstance(detector, UnitEvalue) else UnitBoundState,
        take=cast(Any, detector).observe,
        says=says,
        draw=draw,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


def buckets_of(rng: np.random.Generator, n: tuple[int, int]) -> tuple[Ints, Floats, Floats]:
    """Rows of up to three of the segments, and how many values each arm has in each bucket."""
    rows = np.flatnonzero(rng.random(ROWS - 1) < 0.8) + 1
    n_b, n_c = (rng.multinomial(size, np.full(BUCKETS, 1 / BUCKETS), rows.size).astype(np.float64) for size in n)
    return rows, n_b, n_c


def unit_quantile(detector: UnitExceedance) -> Case:
    """The case of a quantile gate on units: a minute for each six inputs."""

    def draw(rng: np.random.Generator, number: int) -> UnitTails:
        rows, n_b, n_c = buckets_of(rng, (400, 60))

        def batch(rate: float) -> UnitBatch:
            k_b, k_c = (rng.binomial(n.astype(int), r).astype(np.float64) for n, r in ((n_b, 0.05), (n_c, rate)))
            return UnitBatch.of_counts(rows, n_b=n_b, k_b=k_b, n_c=n_c, k_c=k_c)

        values = rng.integers(1, 51, 400 * rows.size).astype(np.float64) ** 2
        return UnitTails(LogHistogram.of(values), batch(0.06), batch(0.04), 10_000 * number)

    def says(state: UnitExceedanceState) -> list[float | None]:
        gates = (detector.harm(state), detector.excluded(state), detector.excluded(state, recent=True))
        return [float(value) for said in gates for value in np.ravel(said)]

    def late(at_ms: Any) -> UnitTails:
        some = draw(np.random.default_rng(0), 0)
        return UnitTails(some.baseline, some.near, some.far, at_ms)

    return Case(
        detector,
        UnitExceedanceState,
        take=detector.observe,
        says=says,
        draw=draw,
        nothing=0.0,
        refused=(lambda: late(np.inf), lambda: late(np.nan)),
    )


def unit_mix(detector: UnitMix) -> Case:
    """The case of a mix gate on units: five values."""

    def draw(rng: np.random.Generator, _: int) -> UnitLabels:
        rows, n_b, n_c = buckets_of(rng, (40, 10))

        def split(n: Floats, shares: list[float]) -> Floats:
            return np.moveaxis(rng.multinomial(n.astype(int), shares), -1, 0).astype(np.float64)

        k_b, k_c = split(n_b, [0.6, 0.2, 0.1, 0.05, 0.05]), split(n_c, [0.5, 0.2, 0.2, 0.05, 0.05])
        return UnitLabels(rows, tuple("abcde"), n_b, n_c, k_b, k_c)

    def says(state: UnitMixState) -> list[float | None]:
        gates = (detector.harm(state), detector.excluded(state), detector.excluded(state, recent=True))
        return [float(value) for said in gates for value in np.ravel(said)]

    def broken(bad: float) -> Callable[[], UnitLabels]:
        one = np.ones((1, BUCKETS))
        return lambda: UnitLabels(np.array([1]), ("a",), one, one, one[None], one[None] * bad)

    return Case(
        detector,
        UnitMixState,
        take=detector.observe,
        says=says,
        draw=draw,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


def split(detector: SampleRatio) -> Case:
    """The sample-ratio test's case: it says its evidence; units of two epochs in each batch."""

    def draw(rng: np.random.Generator, _: int) -> SplitBatch:
        n = rng.integers(1, 30, 2)
        k = rng.binomial(n, 0.08)[:, None]
        return SplitBatch(n.astype(np.float64), k.astype(np.float64), np.array([[0.05], [0.1]]))

    def broken(bad: float) -> Callable[[], SplitBatch]:
        one = np.ones(1)
        return lambda: SplitBatch(one * bad, one[:, None], one[:, None] * 0.5)

    return Case(
        detector,
        SampleRatioState,
        take=detector.observe,
        says=lambda state: [detector.log_evidence(state), *detector.by_canary(state)],
        draw=draw,
        nothing=0.0,
        refused=tuple(broken(bad) for bad in (np.nan, np.inf, -np.inf)),
    )


CASES = {
    "evalue-2x2": gate(Evalue2x2(), Evalue2x2State, "harm"),
    "evalue-2x2 with tolerance": gate(Evalue2x2(tolerance=0.00125), Evalue2x2State, "harm"),
    "margin-2x2": gate(Margin2x2(margins=(0.005, 0.1, 0.99)), Margin2x2State, "excluded"),
    "mean-evalue": gate(MeanEvalue(tolerance=0.025), MeanEvalueState, "harm"),
    "mean-evalue, lower": gate(MeanEvalue(worse="lower"), MeanEvalueState, "harm"),
    "mean-bound": gate(MeanBound(margins=(0.05, 0.1, 2.0)), MeanBoundState, "excluded"),
    "mean-bound, lower": gate(MeanBound(margins=(0.05, 0.1), worse="lower"), MeanBoundState, "excluded"),
    "exceedance, p95": quantile(Exceedance(level=0.95, tolerance=0.0, margin=0.1, shares=(0.05, 0.5, 1.0))),
    "exceedance, p50 lower": quantile(Exceedance(level=0.5, tolerance=0.025, margin=0.1, worse="lower")),
    "label-mix": mix(LabelMix(tolerance=0.005, margins=(0.02, 0.2, 0.99))),
    "sample-ratio": split(SampleRatio(canaries=("v2",))),
    "unit-evalue": by_unit(UnitEvalue(tolerance=0.001, relative=False)),
    "unit-bound": by_unit(UnitBound(margins=(0.01, 0.3), relative=False)),
    "unit-bound, either": by_unit(UnitBound(margins=(0.3,), worse="either", relative=False)),
    "unit-exceedance, p95": unit_quantile(
        UnitExceedance(level=0.95, tolerance=0.0, margin=0.1, shares=(0.05, 0.5, 1.0))
    ),
    "unit-exceedance, p50 lower": unit_quantile(UnitExceedance(level=0.5, tolerance=0.025, margin=0.1, worse="lower")),
    "unit-mix": unit_mix(UnitMix(tolerance=0.005, margins=(0.02, 0.2))),
    "joint": joint(Joint(dimensions=3)),
    "effect": effect(Effect()),
    "effect, relative": effect(Effect(relative=True)),
    "mahalanobis": vectors(Mahalanobis(dimensions=2), MahalanobisState),
    "mahalanobis, shrunk": vectors(Mahalanobis(dimensions=2, shrink=True), MahalanobisState),
    "mewma": vectors(Mewma(dimensions=2), MewmaState),
    "half-space-trees": vectors(HalfSpaceTrees(dimensions=2, window=20, trees=5, height=3), HalfSpaceTreesState),
    "two-sample": two_sample(TwoSample()),
    "drift, adwin": drift(Drift(method="adwin", window=60)),
    "drift, page-hinkley": drift(Drift(method="page-hinkley", window=60)),
    "online-gaussian": observer(OnlineGaussian()),
    "seasonal-gaussian": seasonal(SeasonalGaussian(period_ms=100, phases=4, warm_up=5)),
    "online-gaussian, forgetting": observer(OnlineGaussian(forgetting=0.05, fires=1, of_last=1)),
}

every_detector = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def inputs(case: Case, count: int, seed: int = 7) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [case.draw(rng, seed * 1_000 + number) for number in range(count)]


def run(case: Case, data: list[Any], state: Any = None) -> Any:
    state = case.detector.start() if state is None else state
    for x in data:
        state = case.take(state, x)
    return state


@every_detector
def test_no_input_is_mutated(case: Case) -> None:
    """Neither the state nor the input is changed by observing, learning or asking."""
    state = run(case, inputs(case, 60))
    x = inputs(case, 1, seed=8)[0]
    before = encode_state(state), encode_state(x)
    case.take(state, x)
    case.says(state)
    assert (encode_state(state), encode_state(x)) == before


@every_detector
def test_the_state_is_bounded(case: Case) -> None:
    """Ten times as many inputs give a state of the same size, but for the length of integers in msgpack."""
    short, long = (len(encode_state(run(case, inputs(case, count)))) for count in (100, 1000))
    assert long <= short + 32


@every_detector
def test_a_restored_state_says_the_same(case: Case) -> None:
    """Stored and restored in the middle, a detector goes on to exactly the same state."""
    data = inputs(case, 80)
    half = run(case, data[:40])
    restored: Any = decode_state(encode_state(half), case.state)
    assert encode_state(run(case, data[40:], restored)) == encode_state(run(case, data))
    assert case.says(restored) == case.says(half)


@every_detector
def test_it_is_deterministic(case: Case) -> None:
    """The same inputs give the same bytes."""
    assert encode_state(run(case, inputs(case, 60))) == encode_state(run(case, inputs(case, 60)))


@every_detector
def test_a_cold_start_says_nothing(case: Case) -> None:
    """Before any input the evidence is none and every opinion unknown."""
    assert set(case.says(case.detector.start())) == {case.nothing}


@every_detector
def test_it_says_something_when_warm(case: Case) -> None:
    """After a hundred inputs every number is there and finite: a detector that never speaks conforms trivially."""
    said = case.says(run(case, inputs(case, 100)))
    assert all(value is not None and np.isfinite(value) for value in said)
    assert any(value != case.nothing for value in said)


@every_detector
def test_non_finite_input_is_refused(case: Case) -> None:
    """NaN and infinities raise a ValueError and never enter a state."""
    for attempt in case.refused:
        with pytest.raises(ValueError, match="finite"):
            attempt()


batched = pytest.mark.parametrize(
    "case", [c for c in CASES.values() if c.draw in (rates, means)], ids=lambda c: type(c.detector).__name__
)


@batched
def test_the_order_of_rows_does_not_matter(case: Case) -> None:
    """A batch with its blocks in another order leads to the same evidence."""
    data = inputs(case, 60)

    def reversed_rows(batch: Any) -> Any:
        columns = {name: getattr(batch, name) for name in batch.__struct_fields__}
        return type(batch)(**{name: x[::-1].copy() for name, x in columns.items() if x is not None})

    straight, turned = run(case, data), run(case, [reversed_rows(batch) for batch in data])
    said = [np.array(case.says(state), dtype=np.float64) for state in (straight, turned)]
    np.testing.assert_allclose(said[1], said[0], rtol=1e-9)


@batched
def test_a_baseline_alone_is_no_evidence(case: Case) -> None:
    """Blocks without a canary teach the past and say nothing."""
    alone = [
        msgspec.structs.replace(batch, n_c=np.zeros(batch.rows.size), **silent)
        for batch in inputs(case, 60)
        for silent in [{"k_c": np.zeros(batch.rows.size)} if isinstance(batch, RateBatch) else {}]
    ]
    assert set(case.says(run(case, alone))) == {case.nothing}


@batched
def test_rows_do_not_influence_each_other(case: Case) -> None:
    """A segment's evidence is that of a run with this segment alone; with one segment the total is the segment."""
    data = inputs(case, 60)

    def only(batch: Any, row: int) -> Any:
        chosen = batch.rows == row
        columns = [getattr(batch, name) for name in batch.__struct_fields__]
        picked = [x[chosen] for x in columns[1:] if x is not None]
        return type(batch)(np.ones(int(chosen.sum()), dtype=np.int64), *picked)

    together = np.reshape(np.array(case.says(run(case, data)), dtype=np.float64), (ROWS, -1))
    for row in range(1, ROWS):
        alone = np.reshape(np.array(case.says(run(case, [only(b, row) for b in data])), dtype=np.float64), (-1,))
        width = together.shape[1]
        np.testing.assert_allclose(alone[:width], together[row], rtol=1e-9)
        np.testing.assert_allclose(alone[width : 2 * width], together[row], rtol=1e-9)


def test_no_detector_is_left_out() -> None:
    """Every class with a NAME and a VERSION under detectors/ has a case here, and names are unique."""
    found: set[Any] = {
        kind
        for package in (detectors.adaptive, detectors.gaussian, detectors.sequential)
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
        for kind in vars(importlib.import_module(module.name)).values()
        if inspect.isclass(kind) and hasattr(kind, "NAME") and kind.__module__ == module.name
    }
    assert len(found) >= 6
    assert found == {type(case.detector) for case in CASES.values()}
    assert all(isinstance(kind.VERSION, int) for kind in found)
    assert len({kind.NAME for kind in found}) == len(found)
