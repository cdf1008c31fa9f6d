"""One mixture over start times: an e-process that finds harm from the start and harm that starts later."""

from __future__ import annotations

from math import log
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.rows import height_of, placed
from detectors.sequential.past import grown
from detectors.sequential.row_weights import (
    newest_by_group,
    shared_out,
    shared_out_by_group,
    start_weights,
    weighted,
    weighted_by_group,
)

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
    log_weight : [R] the row's weight in the gate's e-value (:mod:`detectors.sequential.row_weights`).
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
        start_weights(),
    )


def grow(mixture: Mixture, rows: int, log_weight: Floats | None = None) -> Mixture:
    """With rows for new segments of the one group, each at e-value 1 and with a weight that leaves the gate's alone.

    Parameters
    ----------
    rows : how many there shall be at least.
    log_weight : as for :func:`log_evidence`, of the rows that there are.
    """
    if rows <= mixture.moments.size:
        return mixture
    return _with_weights(mixture, shared_out(mixture.log_weight, log_evidence(mixture, log_weight), rows))


def with_rows(mixture: Mixture, rows: Ints, stride: int | None = None) -> Mixture:
    """With rows for the segments of a batch, and for those below them in their groups.

    Parameters
    ----------
    rows, stride : of the segments, as :func:`detectors.rows.placed` takes them; at least one.
    """
    if stride is None:
        return grow(mixture, height_of(rows))
    newest = newest_by_group(mixture.log_weight, rows, stride)
    if not newest.size:
        return mixture
    weights = shared_out_by_group(mixture.log_weight, log_evidence(mixture), newest, stride)
    return _with_weights(mixture, weights)


def _with_weights(mixture: Mixture, log_weight: Floats) -> Mixture:
    """With as many rows as weights, new ones at e-value 1."""
    rows = log_weight.size
    return Mixture(
        grown(mixture.log_c, rows, 0.0),
        grown(mixture.log_a, rows, -np.inf),
        np.concatenate([mixture.moments, np.zeros(rows - mixture.moments.size, dtype=np.int64)]),
        grown(mixture.rest, rows, 1.0),
        log_weight,
    )


def advance(mixture: Mixture, rows: Ints, log_e: Floats, stride: int | None = None) -> Mixture:
    """After one block in each of some segments.

    C ← e C and A ← e (A + w) with the weight w of the slot that opens now, if one does. Slot k = 1, 2, … weighs
    1 / (c (k+1) ln²(k+1)), which adds up to 1 over all slots. When slots open depends on counts only.

    Parameters
    ----------
    rows, stride : [m] segments that got evidence, as :func:`detectors.rows.placed` takes them.
    log_e : [m, J] log e-values of their blocks. A total gets the product over its segments.
    """
    if rows.size == 0:
        return mixture
    grown_up = with_rows(mixture, rows, stride)
    place = placed(rows, stride)
    log_a, rest, before = grown_up.log_a, grown_up.rest, place.taken(grown_up.moments)
    opening = place.where[before % SLOT_MOMENTS == 0]
    if opening.size:
        log_a, rest = log_a.copy(), rest.copy()
        order = grown_up.moments[opening] // SLOT_MOMENTS + 2.0
        weight = 1.0 / (SLOT_CONSTANT * order * np.log(order) ** 2)
        log_a[opening] = np.logaddexp(log_a[opening], np.log(weight)[:, None])
        rest[opening] -= weight
    log_c, log_a = place.added(log_e, grown_up.log_c, log_a)
    moments = place.replaced(grown_up.moments, before + 1)
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
    top = np.maximum(log_rest, np.maximum.reduce(np.maximum(mixture.log_c, mixture.log_a), axis=1))
    both = np.exp(mixture.log_c - top[:, None]) + np.exp(mixture.log_a - top[:, None])
    rest = np.exp(log_rest - top)
    if log_weight is None:
        mean = np.add.reduce(both, axis=1) / points + rest
    else:
        weight = np.exp(log_weight)
        mean = np.add.reduce(weight * both, axis=1) + rest * np.add.reduce(weight, axis=1)
    evidence: Floats = top + np.log(0.5 * mean)
    return evidence


def log_combined(mixture: Mixture, log_weight: Floats | None = None) -> float:
    """Log of the gate's e-value: the rows' e-values, averaged with their weights.

    With one segment the total is the segment and this is its e-value; without any it is 0.

    Parameters
    ----------
    log_weight : as for :func:`log_evidence`.
    """
    return weighted(mixture.log_weight, log_evidence(mixture, log_weight))


def log_by_group(mixture: Mixture, stride: int) -> Floats:
    """[R / stride] the same of each group of rows."""
    return weighted_by_group(mixture.log_weight, log_evidence(mixture), stride)
