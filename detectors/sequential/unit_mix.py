"""FAIL and PASS for an output mix where a unit is one observation."""

from __future__ import annotations

from math import log
from typing import ClassVar, Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch
from detectors.sequential.compared_units import compare_units, learned_too
from detectors.sequential.effect import Effect, EffectState, Estimate
from detectors.sequential.past import grown
from detectors.sequential.row_weights import shared_out, start_weights, weighted
from detectors.sequential.unit_bound import UnitBound, UnitBoundState, total_of
from detectors.sequential.unit_evalue import UnitEvalue, UnitEvalueState
from detectors.unit_batches import UnitBatch
from detectors.unit_label_batches import UnitLabels
from schemas.event import OTHER

VALUES_MAX: Final = 16
"""Values with evidence of their own, the last of them ``other``: each needs sums over all buckets of units."""

_PRIOR_SHARE: Final = 0.05


class ValueState(msgspec.Struct, frozen=True, eq=False):
    """One value: evidence that its share rose or fell, sums that exclude it, its shares, [R] log weights."""

    rose: UnitEvalueState
    fell: UnitEvalueState
    bound: UnitBoundState
    effect: EffectState
    log_weight: Floats


class UnitMixState(msgspec.Struct, frozen=True, eq=False):
    """What is known of the values, in the order in which they appeared, of one never seen, and of the rows' weights."""

    values: dict[str, ValueState]
    unseen: UnitBoundState
    log_weight: Floats


class UnitMix(msgspec.Struct, frozen=True):
    """For each value of a label a gate on units, in both directions, averaged.

    As :class:`detectors.sequential.label_mix.LabelMix`: weights over values are fixed before each block; a value that
    appears later starts to bet with the next block and takes its capital from the others; PASS needs every value, also
    one never seen, and a late value has the evidence of the zeros before it. There is no mixture over late starts:
    with it the state of sixteen values would be several times as large.

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
    VERSION: ClassVar[int] = 1

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
    def _sides(self) -> tuple[UnitEvalue, UnitEvalue]:
        tolerance, prior = self.tolerance, _PRIOR_SHARE
        rose = UnitEvalue(tolerance=tolerance, relative=False, prior_rate=prior, spans=())
        return rose, msgspec.structs.replace(rose, worse="lower")

    @property
    def _bound(self) -> UnitBound:
        return UnitBound(self.margins, worse="either", relative=False, prior_rate=_PRIOR_SHARE, alpha=self.alpha)

    def start(self) -> UnitMixState:
        """Nothing known."""
        return UnitMixState({}, self._bound.start(), start_weights())

    def restart(self, state: UnitMixState) -> UnitMixState:
        """No evidence since the last step, with all else kept."""
        bound = self._bound
        values = {
            name: msgspec.structs.replace(value, bound=bound.restart(value.bound))
            for name, value in state.values.items()
        }
        return msgspec.structs.replace(state, values=values, unseen=bound.restart(state.unseen))

    def observe(self, state: UnitMixState, seen: UnitLabels) -> UnitMixState:
        """After the blocks that closed at one moment; a block of the baseline alone only teaches its past."""
        nothing = seen.counted(())
        if nothing.rows.size == 0:
            return state
        state = self._with_rows(state, int(nothing.rows.max()) + 1)
        names = tuple(state.values)
        values = {
            name: self._observed(value, seen.counted(_meant(name, names, seen.values)))
            for name, value in state.values.items()
        }
        fresh = _admitted(names, seen.values)
        for name in fresh:
            # It appeared in these blocks: choosing it by them and betting on them would be a bet after the race.
            batch = seen.counted(_meant(name, (*names, *fresh), seen.values))
            bound = self._bound.observe(state.unseen, batch)
            rose, fell = self._sides
            shown = Effect().observe(Effect().start(), means_of(batch))
            values[name] = ValueState(rose.start(), fell.start(), bound, shown, np.zeros(0))
        unseen = self._bound.observe(state.unseen, nothing)
        return UnitMixState(self._with_capital(state, values, fresh), unseen, state.log_weight)

    def harm(self, state: UnitMixState) -> Floats:
        """[R] log e-value of each row."""
        if not state.values:
            return np.zeros(state.log_weight.size)
        each = [self._log_e(value) + value.log_weight for value in state.values.values()]
        total: Floats = np.logaddexp.reduce(np.array(each), axis=0)
        return total

    def evidence(self, state: UnitMixState) -> float:
        """Log e-value of the gate."""
        return weighted(state.log_weight, self.harm(state))

    def excluded(self, state: UnitMixState, *, recent: bool = False) -> Floats:
        """[1, G] log evidence, of the total, against "some value's share changed by the margin"."""
        bounds = [state.unseen, *(value.bound for value in state.values.values())]
        least: Floats = np.min([self._bound.excluded(total_of(one), recent=recent) for one in bounds], axis=0)
        return least

    def named(self, state: UnitMixState, row: int) -> str | None:
        """The value with most evidence of harm in a row, or None before any."""
        if not state.values or row >= state.log_weight.size:
            return None
        each = {name: (self._log_e(value) + value.log_weight)[row] for name, value in state.values.items()}
        return max(each, key=lambda name: float(each[name]))

    def compared(self, state: UnitMixState) -> bool:
        """Whether any block had labels of both arms."""
        return any(Effect().compared(value.effect) for value in state.values.values())

    def estimate(self, state: UnitMixState, row: int) -> Estimate:
        """Both arms' shares of the value that :meth:`named` gives, compared within blocks."""
        name = self.named(state, row)
        found = Effect().estimate(Effect().start() if name is None else state.values[name].effect, row)
        return msgspec.structs.replace(found, low=None, high=None)

    def _observed(self, value: ValueState, batch: UnitBatch) -> ValueState:
        rose, fell = self._sides
        seen = compare_units(value.rose.known, batch, _PRIOR_SHARE)
        return ValueState(
            rose.advanced(value.rose, seen),
            fell.advanced(value.fell, seen),
            self._bound.advanced(value.bound, learned_too(value.bound.known, seen, _PRIOR_SHARE)),
            Effect().observe(value.effect, means_of(batch)),
            value.log_weight,
        )

    def _log_e(self, value: ValueState) -> Floats:
        """[R] log e-value of "its share changed"; rows that it has not been seen in have none."""
        rows = value.log_weight.size
        sides = zip(self._sides, (value.rose, value.fell), strict=True)
        rose, fell = (grown(side.harm(state), rows, 0.0) for side, state in sides)
        both: Floats = np.logaddexp(rose, fell) - log(2.0)
        return both

    def _with_rows(self, state: UnitMixState, rows: int) -> UnitMixState:
        if rows <= state.log_weight.size:
            return state
        log_weight = shared_out(state.log_weight, self.harm(state), rows)
        equal = -log(max(len(state.values), 1))
        values = {
            name: msgspec.structs.replace(value, log_weight=grown(value.log_weight, rows, equal))
            for name, value in state.values.items()
        }
        return UnitMixState(values, state.unseen, log_weight)

    def _with_capital(
        self, state: UnitMixState, values: dict[str, ValueState], fresh: tuple[str, ...]
    ) -> dict[str, ValueState]:
        """New values get capital from the others, so that no row's e-value moves by their coming."""
        if not fresh:
            return values
        old, total = len(values) - len(fresh), len(values)
        kept = {name: value for name, value in values.items() if name not in fresh}
        capital = self.harm(msgspec.structs.replace(state, values=kept))
        weights = dict.fromkeys(fresh, capital - log(total))
        weights |= {name: value.log_weight + log(old / total) for name, value in kept.items()}
        return {name: msgspec.structs.replace(value, log_weight=weights[name]) for name, value in values.items()}


def means_of(batch: UnitBatch) -> MeanBatch:
    """The batch as if every value were on its own."""
    n_b, n_c = batch.n_b.sum(axis=1), batch.n_c.sum(axis=1)
    mean_b, mean_c = (total.sum(axis=1) / np.maximum(n, 1.0) for total, n in ((batch.sum_b, n_b), (batch.sum_c, n_c)))
    return MeanBatch(batch.rows, n_b=n_b, mean_b=mean_b, m2_b=batch.m2_b, n_c=n_c, mean_c=mean_c, m2_c=batch.m2_c)


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
