"""What a gate on an output mix knows where units are counted: a group of rows for each value of the label."""

from __future__ import annotations

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.sequential.clustered import start_sums
from detectors.sequential.effect import Effect, EffectState
from detectors.sequential.unit_bound import UnitBoundState
from detectors.sequential.unit_mixture import start_known
from detectors.state_rows import rearranged
from detectors.unit_batches import BUCKETS


class Bets(msgspec.Struct, frozen=True, eq=False):
    """Sums by row since a value began to bet.

    Parameters
    ----------
    psi : [rows, 2, K] ψ of a share that rose, and of one that fell.
    w, v_score : [rows] information, and the variance if requests were independent.
    """

    psi: Floats
    w: Floats
    v_score: Floats


class UnitMixState(msgspec.Struct, frozen=True, eq=False):
    """What is known of the values, each with a group of R rows (:mod:`detectors.rows`): the total, then segments.

    Group 0 is a value that was never seen, group 1 + v is ``values[v]``.

    Parameters
    ----------
    values : V names, in the order in which they appeared.
    bets : on shares that rose or fell.
    bound : what is known of the baseline, and sums that exclude both.
    effect : the shares.
    value_weight : [V, R] log weights of the values in each row's e-value.
    log_weight : [R] log weights of the rows in the gate's.
    """

    values: tuple[str, ...]
    bets: Bets
    bound: UnitBoundState
    effect: EffectState
    value_weight: Floats
    log_weight: Floats


def start_bets() -> Bets:
    """Nothing is bet: one row."""
    return Bets(np.zeros((1, 2, BUCKETS)), np.zeros(1), np.zeros(1))


def with_rows(state: UnitMixState, old: Ints, known: Ints | None = None) -> UnitMixState:
    """With other rows, of weights and of the totals' sums the same.

    Parameters
    ----------
    old : of each row the one that it was, as :func:`detectors.state_rows.rearranged` takes them.
    known : the one whose baseline it has, where that is another.
    """
    past = rearranged(state.bound.known, start_known(), old if known is None else known)
    return msgspec.structs.replace(
        state,
        bets=rearranged(state.bets, start_bets(), old),
        bound=msgspec.structs.replace(state.bound, known=past),
        effect=rearranged(state.effect, Effect().start(), old),
    )


def with_values(state: UnitMixState, fresh: tuple[str, ...]) -> UnitMixState:
    """With groups for new values: what is known of them are the zeros before they were seen."""
    groups, rows, number = 1 + len(state.values), state.log_weight.size, len(fresh)
    there = np.arange(groups * rows)
    new = np.full(number * rows, -1, dtype=np.int64)
    zeros = np.tile(np.arange(rows), number)
    state = with_rows(state, np.concatenate([there, new]), np.concatenate([there, zeros]))
    copied = np.concatenate([np.arange(groups), np.zeros(number, dtype=np.int64)])
    overall, recent = (rearranged(sums, start_sums(), copied) for sums in (state.bound.overall, state.bound.recent))
    bound = UnitBoundState(state.bound.known, overall, recent)
    return msgspec.structs.replace(state, values=(*state.values, *fresh), bound=bound)
