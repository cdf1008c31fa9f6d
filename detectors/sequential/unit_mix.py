"""FAIL and PASS for an output mix where a unit is one observation."""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import CheckedMeans, MeanBatch
from detectors.rows import height_of
from detectors.sequential.clustered import Gain, spread_of
from detectors.sequential.compared_units import compare_units
from detectors.sequential.effect import Effect, Estimate
from detectors.sequential.row_weights import shared_out, start_weights, weighted
from detectors.sequential.unit_bound import UnitBound
from detectors.sequential.unit_evalue import EFFECTS
from detectors.sequential.unit_mix_state import Bets, UnitMixState, start_bets, with_rows, with_values
from detectors.sequential.unit_mixture import log_mean_evidence
from detectors.state_rows import rearranged
from detectors.unit_batches import UnitBatch, UnitTotals
from detectors.unit_label_batches import UnitLabels
from schemas.event import OTHER

VALUES_MAX: Final = 16
"""Values with evidence of their own, the last of them ``other``: each needs sums over all buckets of units."""

_PRIOR_SHARE: Final = 0.05


class UnitMix(msgspec.Struct, frozen=True):
    """For each value of a label a gate on units, in both directions, averaged.

    As :class:`detectors.sequential.label_mix.LabelMix`: weights over values are fixed before each block; a value that
    appears later starts to bet with the next block and takes its capital from the others; PASS needs every value, also
    one never seen, and a late value has the evidence of the zeros before it. There is no mixture over late starts:
    with it the state of sixteen values would be several times as large. All values are compared at once.

    Parameters
    ----------
    tolerance : difference of shares that is no harm, within [0, 1).
    margins : differences of shares, each within (0, 1).
    alpha : of PASS; it tunes the bound.

    Raises
    ------
    ValueError : when a parameter is outside its domain.

    >>> gate = UnitMix(tolerance=0.0, margins=(0.1,))
    >>> gate.evidence(gate.start()), gate.named(gate.start(), 0) is None
    (0.0, True)
    """

    NAME: ClassVar[str] = "unit-mix"
    VERSION: ClassVar[int] = 2

    tolerance: float
    margins: tuple[float, ...]
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"UnitMix: tolerance must be within [0, 1), found {self.tolerance}")
        if not self.margins or not all(0.0 < margin < 1.0 for margin in self.margins):
            raise ValueError(f"UnitMix: margins must be within (0, 1), found {self.margins}")
        if not 0.0 < self.alpha < 0.5:
            raise ValueError(f"UnitMix: alpha must be within (0, 0.5), found {self.alpha}")

    @property
    def _bound(self) -> UnitBound:
        return _bound(self.margins, self.alpha)

    def start(self) -> UnitMixState:
        """Nothing known."""
        return UnitMixState((), start_bets(), self._bound.start(), Effect().start(), np.zeros((0, 1)), start_weights())

    def restart(self, state: UnitMixState) -> UnitMixState:
        """No evidence since the last step, with all else kept."""
        return msgspec.structs.replace(state, bound=self._bound.restart(state.bound))

    def observe(self, state: UnitMixState, seen: UnitLabels) -> UnitMixState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        if seen.rows.size == 0:
            return state
        state, before = self._with_rows(state, height_of(seen.rows)), state.values
        fresh = _admitted(before, seen.values)
        if fresh:
            state = with_values(state, fresh)
        # What ``other`` stands for was settled before these blocks.
        meant = [_meant(name, before if name in before else state.values, seen.values) for name in state.values]
        batch = seen.counted([(), *meant], state.log_weight.size)
        compared = compare_units(state.bound.known, batch, _PRIOR_SHARE)
        state = msgspec.structs.replace(
            state,
            bets=state.bets if compared.gain is None else self._with_gain(state.bets, compared.gain),
            bound=self._bound.advanced(state.bound, compared),
            effect=Effect().observe(state.effect, means_of(batch, compared.totals)),
        )
        return self._with_capital(state, len(fresh)) if fresh else state

    def harm(self, state: UnitMixState) -> Floats:
        """[R] log e-value of each row."""
        betting = len(state.value_weight)
        if not betting:
            return np.zeros(state.log_weight.size)
        total: Floats = np.logaddexp.reduce(self._log_e(state)[:betting] + state.value_weight, axis=0)
        return total

    def evidence(self, state: UnitMixState) -> float:
        """Log e-value of the gate."""
        return weighted(state.log_weight, self.harm(state))

    def excluded(self, state: UnitMixState, *, recent: bool = False) -> Floats:
        """[1, G] log evidence, of the total, against "some value's share changed by the margin"."""
        each = self._bound.excluded(state.bound, recent=recent, stride=state.log_weight.size)
        least: Floats = np.minimum.reduce(each, axis=0, keepdims=True)
        return least

    def named(self, state: UnitMixState, row: int) -> str | None:
        """The value with most evidence of harm in a row, or None before any."""
        if not state.values or row >= state.log_weight.size:
            return None
        return state.values[int((self._log_e(state) + state.value_weight)[:, row].argmax())]

    def compared(self, state: UnitMixState) -> bool:
        """Whether any block had labels of both arms."""
        totals = state.effect.sums[:: state.log_weight.size]
        return any(w > 0 for w in totals[1:, 2].tolist())

    def estimate(self, state: UnitMixState, row: int) -> Estimate:
        """Both arms' shares of the value that :meth:`named` gives, compared within blocks."""
        name, rows = self.named(state, row), state.log_weight.size
        if name is None:
            return Effect().estimate(Effect().start(), 0)
        found = Effect().estimate(state.effect, (1 + state.values.index(name)) * rows + row)
        return msgspec.structs.replace(found, low=None, high=None)

    def _log_e(self, state: UnitMixState) -> Floats:
        """[V, R] log e-value of "its share changed": the mean of those of both directions."""
        s, v_b = spread_of(state.bets.psi)
        w, v_score = state.bets.w[:, None], state.bets.v_score[:, None]
        sides = log_mean_evidence(state.bound.known, EFFECTS, s, v_b, v_score, w)
        both = np.logaddexp(sides[:, 0], sides[:, 1]) - log(2.0)
        each: Floats = both.reshape(-1, state.log_weight.size)[1:]
        return each

    def _with_gain(self, bets: Bets, gain: Gain) -> Bets:
        """With what blocks add, against a share that is the tolerance higher, and one that is as much lower."""
        rise, away = gain.psi[:, 0], self.tolerance * gain.psi[:, 1]
        harm = np.stack((rise - away, -rise - away), axis=1)
        plus = gain.place.plus
        return Bets(plus(bets.psi, harm), plus(bets.w, gain.w), plus(bets.v_score, gain.score.sum(axis=1)))

    def _with_rows(self, state: UnitMixState, rows: int) -> UnitMixState:
        before = state.log_weight.size
        if rows <= before:
            return state
        groups = np.arange(1 + len(state.values))[:, None] * before
        old = np.where(np.arange(rows) < before, groups + np.arange(rows), -1).ravel()
        equal = np.full((len(state.values), rows - before), -log(max(len(state.values), 1)))
        return msgspec.structs.replace(
            with_rows(state, old),
            value_weight=np.concatenate([state.value_weight, equal], axis=1),
            log_weight=shared_out(state.log_weight, self.harm(state), rows),
        )

    def _with_capital(self, state: UnitMixState, fresh: int) -> UnitMixState:
        """New values get capital from the others, so that no row's e-value moves by their coming.

        They appeared in the newest blocks: choosing them by these and betting on them would be a bet after the race.
        """
        rows, total = state.log_weight.size, len(state.values)
        # They have no weight yet, so this is the others' alone.
        capital = self.harm(state)
        old = np.arange((1 + total) * rows)
        old[(1 + total - fresh) * rows :] = -1
        kept = state.value_weight + (log((total - fresh) / total) if total > fresh else 0.0)
        weights = np.concatenate([kept, np.tile(capital - log(total), (fresh, 1))])
        return msgspec.structs.replace(state, bets=rearranged(state.bets, start_bets(), old), value_weight=weights)


@lru_cache(maxsize=64)
def _bound(margins: tuple[float, ...], alpha: float) -> UnitBound:
    return UnitBound(margins, worse="either", relative=False, prior_rate=_PRIOR_SHARE, alpha=alpha)


def means_of(batch: UnitBatch, totals: UnitTotals) -> MeanBatch:
    """The batch as if every value were on its own."""
    n_b, n_c, sum_b, sum_c = totals
    mean_b, mean_c = sum_b / np.maximum(n_b, 1.0), sum_c / np.maximum(n_c, 1.0)
    return CheckedMeans(batch.rows, n_b, mean_b, batch.m2_b, n_c, mean_c, batch.m2_c, batch.stride)


def _admitted(known: tuple[str, ...], occurring: tuple[str, ...]) -> tuple[str, ...]:
    """Values to be known from now on; surplus ones are ``other``."""
    fresh: list[str] = []
    for name in occurring:
        taken = len(known) + len(fresh)
        named = name if taken < VALUES_MAX - 1 or name in known else OTHER
        if named not in (*known, *fresh):
            fresh.append(named)
    return tuple(fresh)


def _meant(name: str, known: tuple[str, ...], occurring: tuple[str, ...]) -> tuple[str, ...]:
    """The values that a known one stands for; ``other`` for all that are not known by name."""
    return (name,) if name != OTHER else tuple(one for one in occurring if one not in known or one == OTHER)
