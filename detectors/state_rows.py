"""Rows of a detector's whole state: all its arrays by row, also those of the states within it, at once."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints

S = TypeVar("S", bound=msgspec.Struct)


def rows_of(state: S, rows: Ints) -> S:
    """A state with some of its rows, ascending; rows that it has not grown yet stay out.

    >>> from detectors.sequential.past_rate import start_rate
    >>> rows_of(start_rate(), np.array([0, 3])).n.tolist()
    [0.0]
    """
    taken: dict[str, Any] = {}
    for name in state.__struct_fields__:
        value = getattr(state, name)
        taken[name] = rows_of(value, rows) if isinstance(value, msgspec.Struct) else value[rows[rows < value.shape[0]]]
    return msgspec.structs.replace(state, **taken)


def rearranged(state: S, start: S, old: Ints) -> S:
    """A state with other rows in another order.

    Parameters
    ----------
    state : is not changed.
    start : of the same detector, with nothing known: what a new row begins as.
    old : of each row the one that it was; -1 of new ones. A row that the state has not grown yet begins too.

    >>> from detectors.sequential.past_rate import PastRate, start_rate
    >>> known = PastRate(np.array([5.0, 7.0]), np.array([0.1, 0.2]))
    >>> rearranged(known, start_rate(), np.array([1, -1, 1, 9])).n.tolist()
    [7.0, 0.0, 7.0, 0.0]
    """
    moved: dict[str, Any] = {}
    for name in state.__struct_fields__:
        value, begun = getattr(state, name), getattr(start, name)
        if isinstance(value, msgspec.Struct):
            moved[name] = rearranged(value, begun, old)
        elif isinstance(value, np.ndarray):
            rows: Floats = np.concatenate([value, begun[:1]])
            moved[name] = rows[np.where(old < value.shape[0], old, -1)]
    return msgspec.structs.replace(state, **moved)
