"""Are units where the splitter puts them? Where events say epoch and bucket, there is no chance in it."""

from __future__ import annotations

from math import log, log1p
from typing import Final

import numpy as np

TOLERATED: Final = 0.02
"""Share of units that may be elsewhere without anything being wrong: a version renamed between routing and event."""

SHARES: Final = (0.05, 0.15, 0.4, 0.9)
"""Shares of units elsewhere that are looked for."""


def log_misplaced(misplaced: int, checked: int) -> float:
    """Log e-value against "a unit is elsewhere with a chance of at most TOLERATED", from counts alone.

    The mean over SHARES of the likelihood ratios s^x (1-s)^(n-x) / (t^x (1-t)^(n-x)), each a supermartingale when the
    chance is at most t < s (Wald 1945; Ville 1939). A splitter of its own, another salt or an old route are elsewhere
    with a large share, and found with a handful of units.

    Parameters
    ----------
    misplaced : units that another version answered than the one that owns their bucket, >= 0.
    checked : units that could tell, >= misplaced.

    >>> log_misplaced(0, 0), log_misplaced(0, 1_000) < 0, log_misplaced(6, 10) > log(1_000)
    (0.0, True, True)
    """
    each = [
        misplaced * log(share / TOLERATED) + (checked - misplaced) * (log1p(-share) - log1p(-TOLERATED))
        for share in SHARES
    ]
    return float(np.logaddexp.reduce(each) - log(len(SHARES))) if checked else 0.0
