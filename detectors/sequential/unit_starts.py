"""Sums by bucket of units since several starts: harm that begins late is not diluted by all the health before it."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Final, NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.rows import Placed
from detectors.sequential.clustered import spread_of
from detectors.sequential.onset import SLOT_CONSTANT
from detectors.unit_batches import BUCKETS

SPANS: Final = (256, 1024, 4096)
"""How many moments with evidence a late start lives. Two of each span are alive, half a span apart."""

Evidence = Callable[[Floats, Floats, Floats, Floats], Floats]
"""(S, V_b, V_score, W), each [R, J], to the log e-value of each."""


class Moment(NamedTuple):
    """What the blocks of one moment add to every start, in the order of their place: ψ [t + m, K], and [t + m] w and
    what they add to V_score."""

    psi: Floats
    w: Floats
    v_score: Floats


class Starts(msgspec.Struct, frozen=True, eq=False):
    """Sums since J starts in each of R rows: the first start of all, and two for each span.

    Parameters
    ----------
    psi : [R, J, K] Σ ψ of each bucket since the start; of no meaning before it, as are w and v_score.
    w, v_score : [R, J] information, and variance if requests were independent, since the start.
    log_capital : [R, J] log of what is bet on the start; -inf while there is none.
    rest : [R] what is not bet: on starts to come, and what ended starts have left.
    moments : int64 [R] moments at which the row got evidence.
    """

    psi: Floats
    w: Floats
    v_score: Floats
    log_capital: Floats
    rest: Floats
    moments: Ints


def start_starts(spans: tuple[int, ...], rows: int = 1) -> Starts:
    """No evidence. Half of the capital is on the first start; without spans all of it."""
    late = 2 * len(spans)
    capital = np.full((rows, 1 + late), -np.inf)
    capital[:, 0] = log(0.5) if late else 0.0
    rest = np.full(rows, 0.5 if late else 0.0)
    moments = np.zeros(rows, dtype=np.int64)
    w, v_score = np.zeros((2, rows, 1 + late))
    return Starts(np.zeros((rows, 1 + late, BUCKETS)), w, v_score, capital, rest, moments)


def grown_starts(starts: Starts, spans: tuple[int, ...], rows: int) -> Starts:
    """With rows for new segments."""
    missing = rows - starts.rest.size
    if missing <= 0:
        return starts
    fresh = start_starts(spans, missing)
    names = Starts.__struct_fields__
    return Starts(*(np.concatenate([getattr(starts, name), getattr(fresh, name)]) for name in names))


def advance_starts(starts: Starts, spans: tuple[int, ...], place: Placed, moment: Moment, evidence: Evidence) -> Starts:
    """After one more moment of evidence in some rows.

    Every half span a start begins and takes the place of the one that has lived a whole span; what that one's bet is
    worth goes to ``rest`` and stays there. An e-process that is stopped keeps its value, and a start begins with
    capital that was fixed beforehand, so E = Σ capital × M + rest is an e-process as each M is: the mixture over start
    times of :mod:`detectors.sequential.onset` in bounded memory, since sums over units cannot be merged as e-values.
    The k-th start of a span weighs 1 / (c (k+1) ln²(k+1)) of its span's part.

    Parameters
    ----------
    starts : is not changed.
    place : of the moment's segments.
    moment : its blocks' part, totals too.
    evidence : what a start's sums are worth.

    Returns
    -------
    The new starts. Per row they hold K (1 + 2 × spans) sums, for ever.
    """
    psi, w, v_score, capital, rest = starts.psi, starts.w, starts.v_score, starts.log_capital, starts.rest
    now, changed = place.taken(starts.moments), False
    for index, span in enumerate(spans):
        opening = place.where[(now > 0) & (now % (span // 2) == 0)]
        if not opening.size:
            continue
        if not changed:
            psi, w, v_score, capital, rest = (a.copy() for a in (psi, w, v_score, capital, rest))
            changed = True
        number = starts.moments[opening] // (span // 2)
        slot = 1 + 2 * index + number % 2
        rest[opening] += np.exp(capital[opening, slot] + evidence(*spread_of(psi), v_score, w)[opening, slot])
        order = number + 1.0
        weight = 0.5 / len(spans) / (SLOT_CONSTANT * order * np.log(order) ** 2)
        psi[opening, slot], w[opening, slot], v_score[opening, slot] = 0.0, 0.0, 0.0
        capital[opening, slot] = np.log(weight)
        rest[opening] -= weight
    # Also of starts that are still to come, which nothing is bet on: their sums begin anew with them.
    psi = place.plus(psi, moment.psi[:, None, :])
    w, v_score = place.plus(w, moment.w[:, None]), place.plus(v_score, moment.v_score[:, None])
    return Starts(psi, w, v_score, capital, rest, place.replaced(starts.moments, now + 1))


def log_worth(starts: Starts, evidence: Evidence) -> Floats:
    """[R] log of E = Σ capital × M + rest."""
    each = starts.log_capital + evidence(*spread_of(starts.psi), starts.v_score, starts.w)
    rest = np.log(starts.rest, where=starts.rest > 0, out=np.full(starts.rest.size, -np.inf))
    worth: Floats = np.logaddexp.reduce(np.concatenate([each, rest[:, None]], axis=1), axis=1)
    return worth
