"""Weights of rows in a gate's e-value: half for the total, half for the segments, whenever they appear."""

from __future__ import annotations

from math import log

import numpy as np

from detectors.arrays import Floats
from detectors.sequential.past import grown


def start_weights() -> Floats:
    """[1] log weight of the total alone."""
    return np.array([log(0.5)])


def shared_out(log_weight: Floats, log_e: Floats, rows: int) -> Floats:
    """Weights with new segments, each with its part of the segments' joint capital, so the gate's e-value stays.

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


def weighted(log_weight: Floats, log_e: Floats) -> float:
    """Log of the gate's e-value; with one segment it is the segment's, without any it is 0."""
    return 0.0 if log_weight.size == 1 else float(np.logaddexp.reduce(log_weight + log_e))
