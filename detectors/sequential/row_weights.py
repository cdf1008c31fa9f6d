"""Weights of rows in a gate's e-value: half for the total, half for the segments, whenever they appear."""

from __future__ import annotations

from math import inf, log

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.sequential.past import grown


def start_weights() -> Floats:
    """[1] log weight of the total alone."""
    return np.array([log(0.5)])


def shared_out(log_weight: Floats, log_e: Floats, rows: int) -> Floats:
    """Weights with new segments, each with its part of the segments' joint capital, so the gate's e-value stays.

    Half of the weight is the total's, half the segments'. When S segments become S + m, old weights shrink by
    S / (S + m) and each new one is the segments' joint capital over S + m. The gate's e-value does not move, so it
    stays an e-process; a plain average over the segments so far would lift a low one towards 1 whenever one appears.

    Parameters
    ----------
    log_weight, log_e : [R] weights and log e-values of the rows that there are.
    rows : how many there shall be at least; a new row starts at e-value 1.

    >>> np.exp(shared_out(shared_out(start_weights(), np.zeros(1), 2), np.array([0.0, log(9.0)]), 3)).round(9).tolist()
    [0.5, 0.25, 2.25]
    """
    old = log_weight.size
    if rows <= old:
        return log_weight
    weights = grown(log_weight, rows, log(0.5 / (rows - 1)))
    if old > 1:
        capital = float(np.logaddexp.reduce(log_weight[1:] + log_e[1:]))
        weights[1:old] += log((old - 1) / (rows - 1))
        weights[old:] = capital - log(rows - 1)
    return weights


def newest_by_group(log_weight: Floats, rows: Ints, stride: int) -> Ints:
    """The highest row of each group, ascending, or none when all of these rows have a weight already.

    Parameters
    ----------
    rows : of segments, ascending, at least one.

    >>> weights = shared_out_by_group(start_weights(), np.zeros(1), np.array([2]), 3)
    >>> newest_by_group(weights, np.array([1, 2]), 3).tolist(), newest_by_group(weights, np.array([1, 4]), 3).tolist()
    ([], [1, 4])
    """
    newest: Ints = rows[np.diff(rows // stride, append=-1) != 0]
    there = newest < log_weight.size
    return newest[:0] if there.all() and np.isfinite(log_weight[newest]).all() else newest


def shared_out_by_group(log_weight: Floats, log_e: Floats, newest: Ints, stride: int) -> Floats:
    """The same where several groups of rows have new segments; a segment that has not appeared weighs nothing.

    Parameters
    ----------
    log_weight, log_e : [R] of all groups, R a multiple of the stride; rows may be missing at the end.
    newest : the highest row of each group that has something new, ascending.
    stride : rows of a group (:mod:`detectors.rows`).

    >>> start = shared_out_by_group(start_weights(), np.zeros(1), np.array([1, 5]), 3)
    >>> np.exp(start).tolist()
    [0.5, 0.5, 0.0, 0.5, 0.25, 0.25]
    """
    weights = grown(log_weight, (int(newest[-1]) // stride + 1) * stride, -inf)
    log_e = grown(log_e, weights.size, 0.0)
    weights[log_weight.size + -log_weight.size % stride :: stride] = log(0.5)
    there = np.isfinite(weights).reshape(-1, stride).sum(axis=1)
    groups, rows = newest // stride, newest % stride + 1
    for group, size in zip(groups[rows > there[groups]].tolist(), rows[rows > there[groups]].tolist(), strict=True):
        old = slice(group * stride, group * stride + int(there[group]))
        weights[old.start : old.start + size] = shared_out(weights[old], log_e[old], size)
    return weights


def weighted(log_weight: Floats, log_e: Floats) -> float:
    """Log of the gate's e-value; with one segment it is the segment's, without any it is 0."""
    return 0.0 if log_weight.size == 1 else float(np.logaddexp.reduce(log_weight + log_e))


def weighted_by_group(log_weight: Floats, log_e: Floats, stride: int) -> Floats:
    """[R / stride] the same of each group."""
    combined = np.logaddexp.reduce((log_weight + log_e).reshape(-1, stride), axis=1)
    return np.where(np.isfinite(log_weight.reshape(-1, stride)[:, 1]), combined, 0.0)
