"""What was seen lately, for people: harm that came late is hidden in all that was seen since the start."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.rows import Placed
from detectors.sequential.past import grown

SPANS: Final = (16, 64, 256, 1024)
"""How many moments a stretch lasts until it begins anew. Two of each span, half a span apart: one is half full."""

_STEP: Final = SPANS[0] // 2
_STRETCHES: Final = tuple((span, first) for span in SPANS for first in (0, span // 2))

SHARPER_MIN: Final = 2.0
"""A stretch is told when its difference is so many times the whole's, with so many times fewer requests."""


class Lately(msgspec.Struct, frozen=True, eq=False):
    """Sums over stretches that end now. Nothing is subtracted: a stretch begins anew when its span is over.

    Parameters
    ----------
    sums : [R, 8, C] by row and stretch.
    moments : at which anything was added.
    """

    sums: Floats
    moments: int = 0


class Stretch(NamedTuple):
    """What both arms showed in the stretch that tells most.

    Parameters
    ----------
    n_canary : requests or values of the canary that were compared in it.
    baseline, canary : means in the metric's unit.
    """

    n_canary: int
    baseline: float
    canary: float


def start_lately(columns: int) -> Lately:
    """Nothing seen.

    >>> start_lately(7).sums.shape
    (1, 8, 7)
    """
    return Lately(np.zeros((1, len(_STRETCHES), columns)))


def with_blocks(lately: Lately, place: Placed, gain: Floats, rows: int) -> Lately:
    """With the blocks that closed at one moment.

    Parameters
    ----------
    place, gain : of the blocks' segments, [t + m, C] with their groups' sums (:meth:`Placed.with_sums`).
    rows : how many there are now.
    """
    sums = grown(lately.sums, rows, 0.0)
    if lately.moments % _STEP == 0:
        over = [at for at, (span, first) in enumerate(_STRETCHES) if (lately.moments - first) % span == 0]
        sums = sums.copy()
        sums[:, over] = 0.0
    return Lately(place.plus(sums, gain[:, None, :]), lately.moments + 1)


def most_telling(lately: Lately, row: int, whole: Floats) -> Stretch | None:
    """The stretch with the largest difference in standard errors, or None when all since the start tells as much.

    It is chosen after the fact and carries no error rate: it says where evidence that was found came from.

    Parameters
    ----------
    row : 0 is the total.
    whole : [7] the sums since the start, in the columns of :class:`detectors.sequential.effect.EffectState`.
    """
    if row >= len(lately.sums):
        return None
    every = np.vstack([whole, lately.sums[row]])
    known = (every[:, 2] > 0) & (every[:, 5:].max(axis=1) > 0)
    if not known[0]:
        return None
    n_c, w, b, c = (np.where(known, every[:, at], fill) for at, fill in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 0.0)))
    z = np.abs(c - b) / np.sqrt(np.where(known, every[:, 5:].max(axis=1), 1.0))
    best, effect = int(z.argmax()), np.abs(c - b) / w
    if SHARPER_MIN * n_c[best] > n_c[0] or effect[best] < SHARPER_MIN * effect[0]:
        return None
    return Stretch(round(n_c[best]), float(b[best] / w[best]), float(c[best] / w[best]))
