"""What a block's counts of a label's values are compared with: alternatives of FAIL and of PASS side by side."""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Final, NamedTuple

import numpy as np

from detectors.arrays import Floats, constant
from detectors.sequential.two_by_two import Alternatives

FAIL_RATIOS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
PASS_RATIOS: Final = (0.7, 1.0, 1.3)
SHARE_FLOOR: Final = 1e-6
"""No share is expected to be nearer to 0 or 1."""


class _Grid(NamedTuple):
    """A column for each alternative of FAIL, then of PASS.

    Parameters
    ----------
    highest : share of the baseline that an alternative is built from, at most.
    tolerated : what is added to it before its odds are multiplied.
    ratios : of odds.
    farthest : how far beyond the baseline's share an alternative lies at most.
    gap : of the null.
    """

    highest: Floats
    tolerated: Floats
    ratios: Floats
    farthest: Floats
    gap: Floats


def label_alternatives(rate: Floats, tolerance: float, margins: tuple[float, ...]) -> Alternatives:
    """[…, J + G J'] those of FAIL beyond the tolerance, then those of PASS, none beyond its margin.

    Parameters
    ----------
    rate : [m, V + 1, 2, 1] the baseline's share of each value, and of the rest, within SHARE_FLOOR of neither 0 nor 1.
    tolerance : difference of shares that is no harm, within [0, 1).
    margins : [G] differences of shares, each within (0, 1).

    >>> rates = np.full((1, 1, 1, 1), 0.5)
    >>> found = label_alternatives(rates, 0.1, (0.05,))
    >>> found.theta_c[..., 0].round(3).tolist(), found.theta_c[..., -3:].round(3).tolist(), found.gap[[0, -1]].tolist()
    ([[[0.652]]], [[[[0.412, 0.5, 0.55]]]], [0.1, 0.05])
    """
    grid = _grid(tolerance, margins)
    theta_b = np.minimum(rate, grid.highest)
    edge = theta_b + grid.tolerated
    odds = edge * grid.ratios
    theta_c = np.minimum(odds / (1.0 - edge + odds), theta_b + grid.farthest)
    return Alternatives(theta_b, theta_c, grid.gap)


@lru_cache(maxsize=256)
def _grid(tolerance: float, margins: tuple[float, ...]) -> _Grid:
    fails, passes = len(FAIL_RATIOS), len(PASS_RATIOS) * len(margins)
    gaps = tuple(margin for margin in margins for _ in PASS_RATIOS)
    return _Grid(
        constant(((1.0 - tolerance) * (1.0 - SHARE_FLOOR),) * fails + (inf,) * passes),
        constant((tolerance,) * fails + (0.0,) * passes),
        constant(FAIL_RATIOS + PASS_RATIOS * len(margins)),
        constant((inf,) * fails + gaps),
        constant((tolerance,) * fails + gaps),
    )
