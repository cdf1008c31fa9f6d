"""FAIL and PASS for an output mix: does the canary give other answers, more or less often, than the baseline?"""

from __future__ import annotations

from math import log
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.batches import SHARE_MIN
from detectors.label_batches import LabelBatch
from detectors.rows import height_of, placed
from detectors.sequential.effect import Estimate
from detectors.sequential.label_alternatives import FAIL_RATIOS, PASS_RATIOS, SHARE_FLOOR, label_alternatives
from detectors.sequential.onset import Mixture, advance, grow, log_combined, log_evidence, start_mixture
from detectors.sequential.past import MEMORY_REQUESTS, grown
from detectors.sequential.two_by_two import Tables, log_ratio
from schemas.event import OTHER

VALUES_MAX: Final = 64
"""Values with a name of their own; later ones count as ``other``."""

_PRIOR_REQUESTS: Final = 20.0
_PRIOR_SHARE: Final = 0.05
_POINTS: Final = 2 * len(FAIL_RATIOS)


class LabelMixState(msgspec.Struct, frozen=True, eq=False):
    """What is known of V values in R rows; in arrays over values, column V is "a value never seen so far".

    Parameters
    ----------
    values : in the order in which they appeared.
    n, k : [R] and [R, V + 1] the baseline's past, slowly forgotten.
    mixture : evidence of harm over 12 V grid points: each value up and down.
    log_weight : [R, V] of each value within its row.
    overall, recent : [G, V + 1, 2, 3] log e-values of the total against each margin, each way.
    n_b, n_c, w : [R] requests compared and information; b, c : [R, V + 1] w × share of each arm.
    """

    values: tuple[str, ...]
    n: Floats
    k: Floats
    mixture: Mixture
    log_weight: Floats
    overall: Floats
    recent: Floats
    n_b: Floats
    n_c: Floats
    w: Floats
    b: Floats
    c: Floats


class LabelMix(msgspec.Struct, frozen=True):
    """One 2×2 e-process for each value of a label, in both directions, averaged.

    FAIL: some value's share differs by more than the tolerance. The average over values has weights that are fixed
    before each block: a value that appears later starts to bet with the *next* block, and takes its capital from the
    others, as segments do (:func:`detectors.sequential.onset.grow`). Choosing it by the very block in which it
    appeared would be a bet after the race.

    PASS: for *each* value, also for one never seen, it is excluded that its share rose or fell by the margin; so the
    total variation distance, half the sum over values, is bounded value by value. Needing all, it divides no alpha.
    A value that appears late has the evidence that it would have had from the start: zeros of both arms.

    Turner, Ly and Grünwald (2024), JSPI 230, 106116, eq. 3, for each value; averages: Vovk and Wang (2021), sec. 3.

    Parameters
    ----------
    tolerance : difference of shares that is no harm, within [0, 1).
    margins : differences of shares, each within (0, 1).

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> from detectors.summaries.counts import Counts
    >>> gate = LabelMix(tolerance=0.0, margins=(0.1, 0.5))
    >>> state = gate.start()
    >>> for _ in range(60):
    ...     arms = Counts({"stop": 18, "length": 2}), Counts({"stop": 8, "length": 2})
    ...     state = gate.observe(state, LabelBatch.of([(1, *arms)]))
    >>> bool(gate.evidence(state) > log(20)), gate.named(state, 0), (gate.excluded(state)[0] > log(20)).tolist()
    (True, 'length', [False, True])
    """

    NAME: ClassVar[str] = "label-mix"
    VERSION: ClassVar[int] = 1

    tolerance: float
    margins: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"LabelMix: tolerance must be within [0, 1), found {self.tolerance}")
        if not self.margins or not all(0.0 < margin < 1.0 for margin in self.margins):
            raise ValueError(f"LabelMix: margins must be within (0, 1), found {self.margins}")

    def start(self) -> LabelMixState:
        """Nothing known."""
        zero, one, pair = np.zeros(1), np.zeros((1, 1)), np.zeros((len(self.margins), 1, 2, len(PASS_RATIOS)))
        return LabelMixState((), zero, one, start_mixture(0), np.zeros((1, 0)), pair, pair, zero, zero, zero, one, one)

    def restart(self, state: LabelMixState) -> LabelMixState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, recent=np.zeros_like(state.recent))

    def observe(self, state: LabelMixState, batch: LabelBatch) -> LabelMixState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if batch.rows.size == 0 or not batch.values:
            return state
        state = _with_rows(state, height_of(batch.rows))
        known = _admitted(state.values, batch)
        fresh = len(known) - len(state.values)
        state = _with_columns(state, known)
        b, c = (_columns(counts, batch.values, known) for counts in (batch.b, batch.c))
        n_b, n_c = (np.add.reduce(counts, axis=1) for counts in (batch.b, batch.c))
        pair = np.minimum(n_b, n_c) > SHARE_MIN * (n_b + n_c)
        if pair.any():
            tables = Tables(*(counts[pair][:, :, None, None] for counts in (b, n_b[:, None], c, n_c[:, None])))
            state = self._compared(state, tables, batch.rows[pair])
            state = _summed(state, batch.rows[pair], (b[pair], c[pair], n_b[pair], n_c[pair]))
        return _learned(_with_capital(state, fresh), batch, b, n_b)

    def harm(self, state: LabelMixState) -> Floats:
        """[R] log e-value of each row."""
        return log_evidence(state.mixture, _points(state.log_weight))

    def evidence(self, state: LabelMixState) -> float:
        """Log e-value of the gate."""
        return log_combined(state.mixture, _points(state.log_weight))

    def excluded(self, state: LabelMixState, *, recent: bool = False) -> Floats:
        """[1, G] log evidence, of the total, against "some value's share changed by the margin"."""
        log_c = state.recent if recent else state.overall
        top = np.maximum.reduce(log_c, axis=3)
        evidence = top + np.log(np.add.reduce(np.exp(log_c - top[..., None]), axis=3) / len(PASS_RATIOS))
        least: Floats = evidence.min(axis=(1, 2))[None, :]
        return least

    def named(self, state: LabelMixState, row: int) -> str | None:
        """The value with most evidence of harm in a row, or None before any."""
        if not state.values or row >= state.n.size:
            return None
        values = state.mixture.log_c[row].reshape(len(state.values), _POINTS)
        started = state.mixture.log_a[row].reshape(len(state.values), _POINTS)
        best = np.maximum(values, started).max(axis=1) + state.log_weight[row]
        return state.values[int(best.argmax())]

    def compared(self, state: LabelMixState) -> bool:
        """Whether any block had labels of both arms."""
        return bool(state.values) and bool(state.w[0] > 0)

    def estimate(self, state: LabelMixState, row: int) -> Estimate:
        """Both arms' shares of the value that :meth:`named` gives, compared within blocks."""
        name = self.named(state, row)
        if name is None or state.w[row] <= 0:
            return Estimate(0, 0, None, None, None, None, None)
        column = state.values.index(name)
        baseline, canary = (float(side[row, column] / state.w[row]) for side in (state.b, state.c))
        counts = round(float(state.n_b[row])), round(float(state.n_c[row]))
        return Estimate(*counts, baseline, canary, canary - baseline, None, None)

    def _compared(self, state: LabelMixState, tables: Tables, rows: Ints) -> LabelMixState:
        """With the evidence of the blocks that have both arms. FAIL bets on the values seen before only."""
        share = (state.k[rows] + _PRIOR_REQUESTS * _PRIOR_SHARE) / (state.n[rows, None] + _PRIOR_REQUESTS)
        share = np.minimum(np.maximum(share, SHARE_FLOOR), 1.0 - SHARE_FLOOR)
        rate = _ways(share[:, :, None, None], 1.0)
        k_b, n_b, k_c, n_c = tables
        tables = Tables(_ways(k_b, n_b), n_b, _ways(k_c, n_c), n_c)
        log_e = log_ratio(tables, *label_alternatives(rate, self.tolerance, self.margins))
        cut, bets, mixture = len(FAIL_RATIOS), state.log_weight.shape[1], state.mixture
        if bets:
            mixture = advance(mixture, rows, log_e[:, :bets, :, :cut].reshape(rows.size, -1))
        gain = log_e[..., cut:].sum(axis=0).reshape(*rate.shape[1:3], len(self.margins), -1)
        gain = gain.transpose(2, 0, 1, 3)
        return msgspec.structs.replace(state, mixture=mixture, overall=state.overall + gain, recent=state.recent + gain)


def _ways(part: Floats, whole: Floats | float) -> Floats:
    """[m, V + 1, 2, 1] a value's part of a whole, and the rest: to rise and to fall."""
    return np.concatenate([part, whole - part], axis=2)


def _points(log_weight: Floats) -> Floats:
    """[R, 12 V] the weight of each grid point."""
    return (log_weight - log(_POINTS)).repeat(_POINTS, axis=1)


def _admitted(values: tuple[str, ...], batch: LabelBatch) -> tuple[str, ...]:
    """All values after this moment; surplus ones are ``other``."""
    known = list(values)
    for name in batch.values:
        admitted = name if name in known or len(known) < VALUES_MAX else OTHER
        if admitted not in known:
            known.append(admitted)
    return tuple(known)


def _columns(counts: Floats, names: tuple[str, ...], known: tuple[str, ...]) -> Floats:
    """[m, V + 1] counts in the order of ``known``, with a column of zeros for the unseen value."""
    found = np.zeros((counts.shape[0], len(known) + 1))
    for index, name in enumerate(names):
        found[:, known.index(name if name in known else OTHER)] += counts[:, index]
    return found


def _with_rows(state: LabelMixState, rows: int) -> LabelMixState:
    if rows <= state.n.size:
        return state
    equal = -log(len(state.values)) if state.values else 0.0
    return msgspec.structs.replace(
        state,
        mixture=grow(state.mixture, rows, _points(state.log_weight)),
        log_weight=grown(state.log_weight, rows, equal),
        **{name: grown(getattr(state, name), rows, 0.0) for name in ("n", "k", "n_b", "n_c", "w", "b", "c")},
    )


def _with_columns(state: LabelMixState, known: tuple[str, ...]) -> LabelMixState:
    """New values begin with what the unseen one has: zeros of both arms since the start, and the evidence of that."""
    old, fresh = len(state.values), len(known) - len(state.values)
    if not fresh:
        return state
    order = [*range(old), *[old] * (fresh + 1)]
    names = ("k", "b", "c", "overall", "recent")
    return msgspec.structs.replace(
        state, values=known, **{name: np.take(getattr(state, name), order, axis=1) for name in names}
    )


def _with_capital(state: LabelMixState, fresh: int) -> LabelMixState:
    """New values get grid points at e-value 1, and capital from the others, so that no row's e-value moves."""
    if not fresh:
        return state
    total, rows, mixture = len(state.values), state.n.size, state.mixture
    weights = np.full((rows, total), -log(total))
    if total > fresh:
        capital = log_evidence(mixture, _points(state.log_weight))[:, None]
        shrunk = state.log_weight + log((total - fresh) / total)
        weights = np.hstack([shrunk, np.repeat(capital - log(total), fresh, axis=1)])
    opened = np.log(1.0 - mixture.rest, where=mixture.moments > 0, out=np.full(rows, -np.inf))
    mixture = msgspec.structs.replace(
        mixture,
        log_c=np.hstack([mixture.log_c, np.zeros((rows, fresh * _POINTS))]),
        log_a=np.hstack([mixture.log_a, np.repeat(opened[:, None], fresh * _POINTS, axis=1)]),
    )
    return msgspec.structs.replace(state, mixture=mixture, log_weight=weights)


def _summed(state: LabelMixState, rows: Ints, arms: tuple[Floats, Floats, Floats, Floats]) -> LabelMixState:
    """With the sums that the estimate is made of."""
    b, c, n_b, n_c = arms
    w = n_b * n_c / (n_b + n_c)
    place, first = placed(rows), 3 + b.shape[1]
    counts = np.array((n_b, n_c, w)).T
    gain = place.with_sums(np.concatenate([counts, b * (w / n_b)[:, None], c * (w / n_c)[:, None]], axis=1))
    parts = {"n_b": gain[:, 0], "n_c": gain[:, 1], "w": gain[:, 2], "b": gain[:, 3:first], "c": gain[:, first:]}
    sums = {name: place.plus(getattr(state, name), part) for name, part in parts.items()}
    return msgspec.structs.replace(state, **sums)


def _learned(state: LabelMixState, batch: LabelBatch, b: Floats, n_b: Floats) -> LabelMixState:
    """With the baseline's counts in its past, the old ones forgotten a little."""
    place = placed(batch.rows)
    added_n, added_k = place.with_sums(n_b), place.with_sums(b)
    kept = np.exp(-added_n / MEMORY_REQUESTS)
    n, k = place.taken(state.n) * kept + added_n, place.taken(state.k) * kept[:, None] + added_k
    return msgspec.structs.replace(state, n=place.replaced(state.n, n), k=place.replaced(state.k, k))
