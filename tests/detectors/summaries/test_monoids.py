"""Every summary is a commutative monoid, and folding all equals merging the folds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isclose
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.summaries.counts import Counts
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.scatter import Scatter
from detectors.summaries.summary import BASES_KEPT, Summary
from schemas.report import Cell, LabelCell

VALUES = json.loads((Path(__file__).parents[1] / "values.json").read_text())
SERIES = np.array(VALUES["online"]["ill_conditioned"]["series"])

numbers = st.lists(
    st.floats(min_value=-1e6, max_value=1e6, allow_subnormal=False).map(lambda x: round(x, 6)), max_size=20
)
rates = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda t: Rate(t[0] + t[1], t[1]))
histograms = numbers.map(lambda values: LogHistogram.of(np.array(values)))
counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 1000)).map(Counts)
measures = numbers.map(lambda values: Measure.of(np.array(values)))
vectors = st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=1, max_size=5).map(
    lambda rows: Scatter.of(np.array(rows, dtype=np.float64))
)
summaries = st.builds(
    Summary,
    rates,
    st.dictionaries(st.sampled_from(["latency_ms", "values.tokens_out"]), measures),
    st.dictionaries(st.sampled_from(["finish_reason"]), counts),
    scatters=st.dictionaries(st.integers(1, 5), vectors, max_size=BASES_KEPT),
)


def close(a: Moments, b: Moments, scale: float = 1e6) -> bool:
    return (
        a.n == b.n
        and isclose(a.mean, b.mean, rel_tol=1e-9, abs_tol=1e-12 * scale)
        and isclose(a.m2, b.m2, rel_tol=1e-9, abs_tol=1e-12 * scale**2)
    )


def alike(a: Summary, b: Summary) -> bool:
    return (
        a.requests == b.requests
        and a.labels == b.labels
        and a.metrics.keys() == b.metrics.keys()
        and all(
            close(a.metrics[k].moments, b.metrics[k].moments)
            and a.metrics[k].histogram == b.metrics[k].histogram
            and (a.metrics[k].low, a.metrics[k].high) == (b.metrics[k].low, b.metrics[k].high)
            for k in a.metrics
        )
        and a.scatters.keys() == b.scatters.keys()
        and all(
            a.scatters[k].n == b.scatters[k].n
            and np.allclose(a.scatters[k].mean, b.scatters[k].mean, atol=1e-9)
            and np.allclose(a.scatters[k].s, b.scatters[k].s, atol=1e-9)
            for k in a.scatters
        )
    )


@given(rates, rates, rates)
def test_rates_are_a_commutative_monoid(a: Rate, b: Rate, c: Rate) -> None:
    """Rate: identity, associativity, commutativity, exactly."""
    assert a.merge(Rate.empty()) == a == Rate.empty().merge(a)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(histograms, histograms, histograms)
def test_histograms_are_a_commutative_monoid(a: LogHistogram, b: LogHistogram, c: LogHistogram) -> None:
    """LogHistogram: identity, associativity, commutativity, exactly."""
    assert a.merge(LogHistogram.empty()) == a == LogHistogram.empty().merge(a)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(counts, counts, counts)
def test_counts_are_a_commutative_monoid(a: Counts, b: Counts, c: Counts) -> None:
    """Counts: identity, associativity, commutativity, exactly."""
    assert a.merge(Counts.empty()) == a == Counts.empty().merge(a)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(numbers, numbers, numbers)
def test_moments_are_a_commutative_monoid_up_to_rounding(x: list[float], y: list[float], z: list[float]) -> None:
    """Moments: identity exactly, associativity and commutativity up to rounding, and fold(all) = merge of folds."""
    a, b, c = (Moments.of(np.array(values)) for values in (x, y, z))
    assert a.merge(Moments.empty()) == a == Moments.empty().merge(a)
    assert close(a.merge(b), b.merge(a))
    assert close(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert close(Moments.merge_all([a, b, c]), Moments.of(np.array([*x, *y, *z])))


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), max_size=20), st.integers(0, 20))
def test_scatters_merge_to_the_scatter_of_all(rows: list[tuple[float, float]], cut: int) -> None:
    """Scatter: identity, commutativity, and fold(all) = merge of folds."""
    vectors = np.array(rows).reshape(-1, 2)
    a, b, whole = Scatter.of(vectors[:cut]), Scatter.of(vectors[cut:]), Scatter.of(vectors)
    assert a.merge(Scatter.empty(2)) == a == Scatter.empty(2).merge(a)
    for merged in (a.merge(b), b.merge(a)):
        assert merged.n == whole.n
        np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-9)
        np.testing.assert_allclose(merged.s, whole.s, atol=1e-7)


@given(summaries, summaries, summaries)
def test_summaries_are_a_commutative_monoid(a: Summary, b: Summary, c: Summary) -> None:
    """Summary: identity, associativity, commutativity, and many at once equal one after the other."""
    assert alike(a.merge(Summary.empty()), a)
    assert alike(a.merge(b), b.merge(a))
    assert alike(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert alike(Summary.merge_all([a, b, c]), a.merge(b).merge(c))


@given(summaries)
def test_a_summary_survives_the_wire(summary: Summary) -> None:
    """A summary and the cell made from it hold the same; a metric or label without values is not sent."""
    cell = summary.to_cell(service="chat", version="v1", segment="eu", pane=3)
    kept = Summary(
        summary.requests,
        {k: m for k, m in summary.metrics.items() if m.moments.n},
        {k: c for k, c in summary.labels.items() if c.n},
    )
    assert alike(Summary.of_cell(cell), kept)


@given(st.lists(st.integers(1, 39), max_size=5))
def test_moments_keep_their_digits_at_an_offset_of_1e8(cuts: Sequence[int]) -> None:
    """Values of 1e8 with a variance of 0.09: however they are cut, merging gives pandas' variance to 1e-7."""
    parts = np.split(SERIES, sorted(cuts))
    merged = Moments.merge_all(Moments.of(part) for part in parts)
    assert merged.n == 40
    assert merged.variance == pytest.approx(VALUES["online"]["ill_conditioned"]["var1"], rel=1e-7)


def test_undefined_is_none() -> None:
    """Nothing seen has no rate, mean, variance, quantile or extreme: None, never 0."""
    assert Rate.empty().value is None
    assert (Moments.empty().value, Moments.empty().variance, Moments(1, 3.0, 0.0).sd) == (None, None, None)
    assert (Measure.empty().quantile(0.5), Measure.empty().low) == (None, None)
    assert Scatter.empty(3).covariance is None


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Rate(1, 2),
        lambda: Rate(-1, -1),
        lambda: Moments(1, float("nan"), 0.0),
        lambda: Moments(1, 0.0, float("inf")),
        lambda: Moments(2, 0.0, -1.0),
        lambda: Counts({"a": 0}),
        lambda: Scatter(1, np.zeros(2), np.zeros((3, 3))),
        lambda: Scatter(1, np.array([np.nan]), np.zeros((1, 1))),
        lambda: Summary.of_cell(Cell("s", "v", "", 0, n=1, errors=2)),
        lambda: Summary.of_cell(Cell("s", "v", "", 0, n=1, errors=0, labels=[LabelCell("l", {"a": -1})])),
    ],
)
def test_impossible_summaries_are_refused(broken: object) -> None:
    """A summary that no events can have is refused, wherever it comes from."""
    assert callable(broken)
    with pytest.raises(ValueError, match=r"must|found|>="):
        broken()
