"""An output mix on units is what its values are by themselves, whenever they and their segments appear."""

from __future__ import annotations

from math import log

import msgspec
import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.sequential.unit_bound import UnitBound
from detectors.sequential.unit_evalue import UnitEvalue
from detectors.sequential.unit_mix import VALUES_MAX, UnitMix
from detectors.sequential.unit_mix_state import UnitMixState
from detectors.sequential.unit_starts import start_starts
from detectors.state_codec import encode_state
from detectors.unit_batches import BUCKETS, UnitBatch
from detectors.unit_label_batches import UnitLabels

TOLERANCE, MARGIN, PRIOR = 0.01, 0.1, 0.05
GATE = UnitMix(TOLERANCE, (MARGIN,))
ROSE = UnitEvalue(tolerance=TOLERANCE, relative=False, prior_rate=PRIOR, spans=())
FELL = msgspec.structs.replace(ROSE, worse="lower")
BOUND = UnitBound((MARGIN,), worse="either", relative=False, prior_rate=PRIOR)

Shares = dict[str, float]


def labels(
    rng: np.random.Generator, baseline: Shares, canary: Shares, rows: tuple[int, ...] = (1,), n: int = 60
) -> UnitLabels:
    """A block for each row, whose requests come from any bucket; an arm without shares has none."""
    names = tuple(sorted({*baseline, *canary}))

    def arm(shares: Shares) -> Floats:
        chances = [shares.get(name, 0.0) for name in names]
        each = rng.multinomial(n if shares else 0, chances if shares else [1 / len(names)] * len(names), size=len(rows))
        by_bucket = [rng.multinomial(count, np.full(BUCKETS, 1 / BUCKETS)) for count in each.T]
        return np.array(by_bucket, dtype=np.float64)

    k_b, k_c = arm(baseline), arm(canary)
    return UnitLabels(np.array(rows), names, k_b.sum(axis=0), k_c.sum(axis=0), k_b, k_c)


def alone(seen: UnitLabels, *names: str) -> UnitBatch:
    """Some names against all others, by the definition."""
    at = [seen.values.index(name) for name in names if name in seen.values]
    k_b, k_c = (counts[at].sum(axis=0) for counts in (seen.k_b, seen.k_c))
    return UnitBatch.of_counts(seen.rows, n_b=seen.n_b, k_b=k_b, n_c=seen.n_c, k_c=k_c)


def after(data: list[UnitLabels], state: UnitMixState | None = None) -> UnitMixState:
    state = GATE.start() if state is None else state
    for seen in data:
        state = GATE.observe(state, seen)
    return state


def history(seed: int) -> list[UnitLabels]:
    """Value c comes after ten moments, row 2 after five; no value tells so much that the others do not count."""
    rng = np.random.default_rng(seed)
    old = [
        labels(rng, {"a": 0.8, "b": 0.2}, {"a": 0.75, "b": 0.25}, rows=(1,) if moment < 5 else (1, 2))
        for moment in range(10)
    ]
    new = [labels(rng, {"a": 0.8, "b": 0.15, "c": 0.05}, {"a": 0.75, "b": 0.18, "c": 0.07}, (1, 2)) for _ in range(15)]
    return [*old, *new]


@pytest.mark.parametrize("seed", range(3))
def test_the_values_are_gates_of_their_own(seed: int) -> None:
    """Each value bets from the block after the one in which it came, its e-value the mean of two gates on its own zeros
    and ones that know its past; PASS is the least of its bounds on all blocks, that of a value never seen included."""
    data = history(seed)
    state = after(data)
    assert set(state.values) == {"a", "b", "c"}
    total, excluded = np.zeros(3), []
    for name in state.values:
        first = next(moment for moment, seen in enumerate(data) if name in seen.values)
        rose, fell, bound = ROSE.start(), FELL.start(), BOUND.start()
        for moment, seen in enumerate(data):
            batch = alone(seen, name)
            rose, fell, bound = ROSE.observe(rose, batch), FELL.observe(fell, batch), BOUND.observe(bound, batch)
            if moment == first:
                begun = start_starts((), rose.starts.rest.size)
                rose, fell = (msgspec.structs.replace(side, starts=begun) for side in (rose, fell))
        weight = state.value_weight[state.values.index(name)]
        total += np.exp(weight) * 0.5 * (np.exp(ROSE.harm(rose)) + np.exp(FELL.harm(fell)))
        excluded.append(BOUND.excluded(bound)[0, 0])
    unseen = BOUND.start()
    for seen in data:
        unseen = BOUND.observe(unseen, alone(seen))
    np.testing.assert_allclose(GATE.harm(state), np.log(total), rtol=1e-9)
    each = BOUND.excluded(state.bound, stride=3)[:, 0]
    np.testing.assert_allclose(each, [BOUND.excluded(unseen)[0, 0], *excluded], rtol=1e-9)
    assert GATE.excluded(state)[0, 0] == each.min()
    np.testing.assert_array_equal(GATE.excluded(state), GATE.excluded(state, recent=True))


def test_what_appears_later_moves_nothing_by_appearing() -> None:
    """A value's first block bets on the old ones alone, and a segment's first moment leaves the gate's e-value."""
    rng = np.random.default_rng(4)
    state = after([labels(rng, {"a": 0.8, "b": 0.2}, {"a": 0.6, "b": 0.4}) for _ in range(20)])
    block = labels(rng, {"a": 0.8, "b": 0.2}, {"a": 0.5, "b": 0.3, "c": 0.2})
    came = GATE.observe(state, block)
    assert came.values == ("a", "b", "c")
    known = msgspec.structs.replace(state, values=came.values, bets=came.bets, bound=came.bound)
    known = msgspec.structs.replace(known, value_weight=np.array([*state.value_weight, [-np.inf] * 2]))
    np.testing.assert_allclose(GATE.harm(came), GATE.harm(known), rtol=1e-12)
    grown = GATE.observe(came, labels(rng, {"a": 0.8, "b": 0.2}, {}, rows=(2,)))
    assert GATE.harm(grown).size == 3
    assert GATE.evidence(grown) == pytest.approx(GATE.evidence(came), rel=1e-12)
    assert GATE.excluded(grown)[0, 0] == pytest.approx(GATE.excluded(came)[0, 0], rel=0.01)


def test_the_changed_value_is_named_with_its_shares() -> None:
    """The estimate is of the value with most evidence, in the row that was asked for; a row never seen has none."""
    rng = np.random.default_rng(5)
    state = after([labels(rng, {"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2}, (1, 2)) for _ in range(10)])
    shifted = {"a": 0.8, "b": 0.05, "z": 0.15}
    state = after([labels(rng, {"a": 0.8, "b": 0.2}, shifted, (2,)) for _ in range(30)], state)
    assert GATE.named(state, 2) in {"b", "z"}
    assert GATE.harm(state)[2] > log(20) > GATE.harm(state)[1]
    found = GATE.estimate(state, 2)
    assert (found.low, found.high) == (None, None)
    assert found.canary == pytest.approx(0.09 if GATE.named(state, 2) == "b" else 0.15, abs=0.03)
    assert (GATE.named(state, 9), GATE.estimate(state, 9).n_canary) == (None, 0)
    assert GATE.compared(state)
    assert not GATE.compared(GATE.start())


def test_a_step_begins_the_recent_sums_anew() -> None:
    """After a restart the values' recent sums are empty, those of a value that comes then as well; the rest stays."""
    data = history(6)
    state = GATE.restart(after(data[:10]))
    assert GATE.excluded(state, recent=True)[0, 0] == 0.0
    later = after(data[10:], state)
    assert (later.bound.recent.w < later.bound.overall.w).all()
    whole = after(data)
    np.testing.assert_array_equal(GATE.harm(later), GATE.harm(whole))
    np.testing.assert_array_equal(GATE.excluded(later), GATE.excluded(whole))
    fresh = after(data[10:])
    np.testing.assert_allclose(later.bound.recent.psi, fresh.bound.recent.psi[[0, 1, 2, 3]], rtol=1e-9, atol=1e-9)


def test_surplus_values_are_other_ones() -> None:
    """Fifteen names and ``other``, which stands for every name that is not known; the state grows no further."""
    rng = np.random.default_rng(7)
    names = [f"v{index:02}" for index in range(VALUES_MAX + 4)]
    state = after([labels(rng, {name: 1.0}, {name: 1.0}) for name in names])
    assert state.values == (*names[: VALUES_MAX - 1], "other")
    size = len(encode_state(state))
    crowd = {name: 1 / len(names) for name in names}
    data = [labels(rng, crowd, crowd) for _ in range(10)]
    more = after(data, state)
    assert len(encode_state(more)) <= size + 32
    bound = BOUND.start()
    for seen in data:
        bound = BOUND.observe(bound, alone(seen, *names[VALUES_MAX - 1 :]))
    gained = more.bound.overall.psi[VALUES_MAX] - state.bound.overall.psi[VALUES_MAX]
    np.testing.assert_allclose(gained, bound.overall.psi[0], atol=1e-9)


def test_bad_counts_are_refused() -> None:
    """Rows that do not ascend and counts that cannot be are errors, each with its message."""
    good = labels(np.random.default_rng(8), {"a": 1.0}, {"a": 1.0}, (1, 2))
    for broken, said in (
        ({"rows": np.array([2, 1])}, "ascend"),
        ({"k_b": good.n_b[None] + 1.0}, "0 <= k <= n"),
        ({"n_c": good.n_c * np.nan}, "finite"),
        ({"values": ("a", "a")}, "values"),
    ):
        with pytest.raises(ValueError, match=said):
            msgspec.structs.replace(good, **broken)


def test_what_other_stands_for_is_settled_before_the_blocks() -> None:
    """A service's own ``other`` is a bet on all names that were not known: one that comes now still counts there."""
    rng = np.random.default_rng(9)
    state = after([labels(rng, {"a": 0.8, "other": 0.2}, {"a": 0.8, "other": 0.2}) for _ in range(3)])
    block = labels(rng, {"a": 0.7, "d": 0.1, "other": 0.2}, {"a": 0.5, "d": 0.3, "other": 0.2})
    came = GATE.observe(state, block)
    assert came.values == ("a", "other", "d")
    gained = came.bound.overall.psi[2] - state.bound.overall.psi[2]
    both = BOUND.observe(BOUND.start(), alone(block, "d", "other"))
    np.testing.assert_allclose(gained, both.overall.psi[0], atol=1e-9)
