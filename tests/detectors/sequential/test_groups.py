"""Many releases in one state, a group of rows for each, are what each of them is by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.arrays import Flags, Floats
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.bounds import MeanBound
from detectors.sequential.evalue_2x2 import Evalue2x2
from detectors.sequential.margin_2x2 import Margin2x2
from detectors.sequential.mean_evalue import MeanEvalue
from detectors.sequential.onset import log_by_group
from detectors.sequential.unit_bound import UnitBound
from detectors.sequential.unit_evalue import UnitEvalue
from detectors.sequential.unit_mixture import totals_of
from detectors.unit_batches import BUCKETS, UnitBatch

RELEASES, SEGMENTS = 5, 4
STRIDE = 1 + SEGMENTS
ROWS = np.array([r * STRIDE + s for r in range(RELEASES) for s in range(1, STRIDE)])


def columns(rng: np.random.Generator, kind: type) -> dict[str, Floats]:
    """A block for every segment of every release; some have one arm only."""
    n_b, n_c = (rng.integers(0, high, ROWS.size) for high in (40, 12))
    if kind is UnitBatch:
        by_unit = [rng.multinomial(n, np.full(BUCKETS, 1 / BUCKETS)) for n in (n_b, n_c)]
        sums = [rng.normal(100.0 * n, 30.0 * np.sqrt(n)) for n in by_unit]
        m2 = [900.0 * np.maximum(n - 1.0, 0.0) for n in (n_b, n_c)]
        arms = (by_unit[0] * 1.0, sums[0], m2[0], by_unit[1] * 1.0, sums[1], m2[1])
        return dict(zip(("n_b", "sum_b", "m2_b", "n_c", "sum_c", "m2_c"), arms, strict=True))
    if kind is RateBatch:
        rates = {"n_b": n_b, "k_b": rng.binomial(n_b, 0.03), "n_c": n_c, "k_c": rng.binomial(n_c, 0.1)}
        return {name: x.astype(np.float64) for name, x in rates.items()}
    mean_b, mean_c = rng.normal(100.0, 5.0, ROWS.size), rng.normal(110.0, 9.0, ROWS.size)
    m2_b, m2_c = (900.0 * np.maximum(n - 1, 0) for n in (n_b, n_c))
    baseline = {"n_b": n_b.astype(np.float64), "mean_b": mean_b, "m2_b": m2_b}
    return {**baseline, "n_c": n_c.astype(np.float64), "mean_c": mean_c, "m2_c": m2_c}


def closed(rng: np.random.Generator, t: int) -> Flags:
    """Which blocks close at a moment: release r begins at moment 3 r, its segment s follows 5 s moments later."""
    release, segment = np.divmod(ROWS, STRIDE)
    begun: Flags = t >= 3 * release + 5 * (segment - 1)
    return begun & (rng.random(ROWS.size) < 0.7)


@pytest.mark.parametrize(
    "gate",
    [
        Evalue2x2(0.002),
        Margin2x2((0.01, 0.1)),
        MeanEvalue(0.025),
        MeanBound((0.1, 0.4)),
        UnitEvalue(0.025, spans=(8, 32)),
        UnitBound((0.1, 0.4), worse="either"),
    ],
    ids=lambda gate: gate.NAME,
)
def test_a_group_is_a_release(gate: Any) -> None:
    """Rows, the gate's e-value and its weights are those of a state for each release, segments that come late too."""
    by_unit = isinstance(gate, UnitEvalue | UnitBound)
    kind: Any = UnitBatch if by_unit else RateBatch if isinstance(gate, Evalue2x2 | Margin2x2) else MeanBatch
    rng = np.random.default_rng(60)
    together, apart = gate.start(), [gate.start() for _ in range(RELEASES)]
    for t in range(60):
        now, values = closed(rng, t), columns(rng, kind)
        together = gate.observe(together, kind(ROWS[now], **{k: x[now] for k, x in values.items()}, stride=STRIDE))
        for release in range(RELEASES):
            own = now & (release == ROWS // STRIDE)
            batch = kind(ROWS[own] % STRIDE, **{k: x[own] for k, x in values.items()})
            apart[release] = gate.observe(apart[release], batch)
        assert_same(gate, together, apart)


def assert_same(gate: Any, together: Any, apart: list[Any]) -> None:
    says = gate.harm if hasattr(gate, "harm") else gate.excluded
    of_totals = isinstance(gate, UnitBound)
    said, rows = (gate.excluded(together, stride=STRIDE), 1) if of_totals else (says(together), STRIDE)
    for release, state in enumerate(apart):
        alone = says(state)
        own = said[release * rows : release * rows + alone.shape[0]]
        np.testing.assert_allclose(own, alone[: own.shape[0]], rtol=1e-9, atol=1e-9)
        assert not alone[own.shape[0] :].any()
        past = past_of(together)[release * STRIDE : (release + 1) * STRIDE]
        np.testing.assert_allclose(past[: past_of(state).size], past_of(state)[: past.size], rtol=1e-12)
        if of_totals:
            total = totals_of(together.known, STRIDE).past.mean[release : release + 1]
            np.testing.assert_allclose(total, past_of(state)[: total.size], rtol=1e-12)
    if hasattr(gate, "harm"):
        by_unit = isinstance(gate, UnitEvalue)
        found = gate.by_group(together, STRIDE) if by_unit else log_by_group(together.mixture, STRIDE)
        np.testing.assert_allclose(found, [gate.evidence(state) for state in apart][: found.size], rtol=1e-9, atol=1e-9)


def past_of(state: Any) -> Floats:
    """[R] the baseline's mean so far."""
    mean: Floats = (state.known if hasattr(state, "known") else state).past.mean
    return mean


@pytest.mark.parametrize("rows", [[3], [0], [2, 1], [1, 1], [4, 2]])
def test_rows_of_groups_are_checked(rows: list[int]) -> None:
    """With a stride of three, rows 0 and 3 are totals; segments come in order, each once."""
    one = np.ones(len(rows))
    with pytest.raises(ValueError, match="groups"):
        RateBatch(np.array(rows), one, one, one, one, stride=3)


def test_the_baseline_alone_makes_a_segment_appear() -> None:
    """A segment whose first block has no canary gets its weight then, in a group as in a release of its own."""
    gate, one = Evalue2x2(), np.ones(1)
    batch = RateBatch(np.array([4]), 20 * one, one, 0 * one, 0 * one, stride=3)
    state = gate.observe(gate.start(), batch)
    np.testing.assert_array_equal(np.exp(state.mixture.log_weight), [0.5, 0.0, 0.0, 0.5, 0.5, 0.0])
    alone = gate.observe(gate.start(), msgspec.structs.replace(batch, rows=np.array([1]), stride=None))
    np.testing.assert_array_equal(np.exp(alone.mixture.log_weight), [0.5, 0.5])
