"""One mixture over start times: an e-process that finds harm from the start and harm that starts later."""

from __future__ import annotations

from math import log
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.sequential.past import grown

SLOT_MOMENTS: Final = 10
"""A new start slot opens with every tenth moment at which a row gets evidence."""


def _constant() -> float:
    """Sum of 1 / (m ln² m) over m >= 2, by Euler and Maclaurin after a thousand terms: 2.1097."""
    last = 1_000
    head = sum(1.0 / (m * log(m) ** 2) for m in range(2, last))
    return head + 1.0 / log(last) + 0.5 / (last * log(last) ** 2)


SLOT_CONSTANT: Final = _constant()


class Mixture(msgspec.Struct, frozen=True, eq=False):
    """Two numbers for each row and grid point, in the log domain.

    Parameters
    ----------
    log_c : [R, J] product of all e-values since the start.
    log_a : [R, J] sum over the opened slots of weight × product since the slot; -inf before the first.
    moments : int64 [R] moments at which the row got evidence.
    rest : [R] weight of the slots that have not opened yet.
    log_weight : [R] the row's weight in the gate's e-value: see :func:`grow`.
    """

    log_c: Floats
    log_a: Floats
    moments: Ints
    rest: Floats
    log_weight: Floats


def start_mixture(points: int) -> Mixture:
    """No evidence; one row, the total, over a grid of this many points.

    >>> log_evidence(start_mixture(6)).tolist()
    [0.0]
    """
    return Mixture(
        np.zeros((1, points)),
        np.full((1, points), -np.inf),
        np.zeros(1, dtype=np.int64),
        np.ones(1),
        np.array([log(0.5)]),
    )


def grow(mixture: Mixture, rows: int, log_weight: Floats | None = None) -> Mixture:
    """With rows for new segments, each at e-value 1.

    Half of the weight is the total's, half the segments'. A segment that appears later gets its capital from the
    others: when S segments become S + m, old weights shrink by S / (S + m) and each new one is the segments' joint
    capital over S + m. The gate's e-value does not move, so it stays an e-process; plain averaging over the
    segments seen so far would lift a low average towards 1 whenever one appears.

    Parameters
    ----------
    rows : how many there shall be at least.
    log_weight : as for :func:`log_evidence`, of the rows that there are.
    """
    old = mixture.moments.size
    if rows <= old:
        return mixture
    weights = grown(mixture.log_weight, rows, log(0.5 / (rows - 1)))
    if old > 1:
        capital = float(np.logaddexp.reduce(mixture.log_weight[1:] + log_evidence(mixture, log_weight)[1:]))
        weights[1:old] += log((old - 1) / (rows - 1))
        weights[old:] = capital - log(rows - 1)
    return Mixture(
        grown(mixture.log_c, rows, 0.0),
        grown(mixture.log_a, rows, -np.inf),
        np.concatenate([mixture.moments, np.zeros(rows - old, dtype=np.int64)]),
        grown(mixture.rest, rows, 1.0),
        weights,
    )


def advance(mixture: Mixture, rows: Ints, log_e: Floats) -> Mixture:
    """After one block in each of some segments.

    C ← e C and A ← e (A + w) with the weight w of the slot that opens now, if one does. Slot k = 1, 2, … weighs
    1 / (c (k+1) ln²(k+1)), which adds up to 1 over all slots. When slots open depends on counts only.

    Parameters
    ----------
    rows : [m] distinct segments' rows that got evidence.
    log_e : [m, J] log e-values of their blocks. Row 0 gets the product over them.
    """
    if rows.size == 0:
        return mixture
    grown_up = grow(mixture, int(rows.max()) + 1)
    where = np.concatenate([np.zeros(1, dtype=np.int64), rows])
    gain = np.concatenate([log_e.sum(axis=0, keepdims=True), log_e])
    moments, rest = grown_up.moments.copy(), grown_up.rest.copy()
    log_c, log_a = grown_up.log_c.copy(), grown_up.log_a.copy()

    order = moments[where] // SLOT_MOMENTS + 2.0
    opens = moments[where] % SLOT_MOMENTS == 0
    weight = 1.0 / (SLOT_CONSTANT * order * np.log(order) ** 2)
    log_w = np.where(opens, np.log(weight), -np.inf)
    log_c[where] += gain
    log_a[where] = gain + np.logaddexp(log_a[where], log_w[:, None])
    rest[where] -= np.where(opens, weight, 0.0)
    moments[where] += 1
    return Mixture(log_c, log_a, moments, rest, grown_up.log_weight)


def log_evidence(mixture: Mixture, log_weight: Floats | None = None) -> Floats:
    """[R] log of E = ½ mean C + ½ (mean A + rest). P(E ever reaches 1/α) <= α when nothing is wrong (Ville).

    Parameters
    ----------
    mixture : of all rows. Without any grid point there is no evidence: 0.
    log_weight : [R, J] logs of the grid points' weights, None for equal ones that add up to 1.
    """
    points = mixture.log_c.shape[1]
    if points == 0:
        return np.zeros(mixture.moments.size)
    log_rest = np.log(mixture.rest)
    top = np.maximum(np.maximum(mixture.log_c.max(axis=1), mixture.log_a.max(axis=1)), log_rest)
    both = (np.exp(sums - top[:, None]) for sums in (mixture.log_c, mixture.log_a))
    rest = np.exp(log_rest - top)
    if log_weight is None:
        cumulative, started = (sums.mean(axis=1) for sums in both)
    else:
        weight = np.exp(log_weight)
        cumulative, started = ((weight * sums).sum(axis=1) for sums in both)
        rest = rest * weight.sum(axis=1)
    evidence: Floats = top + np.log(0.5 * (cumulative + started + rest))
    return evidence


def log_combined(mixture: Mixture, log_weight: Floats | None = None) -> float:
    """Log of the gate's e-value: the rows' e-values, averaged with their weights.

    With one segment the total is the segment and this is its e-value; without any it is 0.

    Parameters
    ----------
    log_weight : as for :func:`log_evidence`.
    """
    if mixture.moments.size == 1:
        return 0.0
    return float(np.logaddexp.reduce(mixture.log_weight + log_evidence(mixture, log_weight)))
