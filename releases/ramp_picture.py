"""A ramp in one line: how the share of all canaries grows over the expected time."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from schemas.units import PPM

COLUMNS = 48
_HEIGHTS = "▁▂▃▄▅▆▇█"


def ramp_picture(steps: Sequence[tuple[int, float]]) -> str:
    """The steps side by side, each as wide as it lasts, and the promotion. Of too many steps some are left out.

    Heights go with the logarithm of the share, from the first step at the bottom to everybody at the top: a linear
    scale would show nothing below 10 %.

    Parameters
    ----------
    steps : (share of all canaries in parts per million, how long it lasts in ms), at least one, shares > 0.

    >>> print(ramp_picture([(10_000, 2.0), (50_000, 5.0), (250_000, 5.0)]))
    ▁▁▁▁▁▁▁▁▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆█
    """
    steps = steps[:: -(-len(steps) // COLUMNS)]
    first, whole = min(share for share, _ in steps), sum(lasts for _, lasts in steps) or 1.0
    drawn, ended = "", 0.0
    for share, lasts in steps:
        ended += lasts
        height = round((len(_HEIGHTS) - 1) * log(share / first) / log(PPM / first)) if first < PPM else 0
        # Each step is seen, however short it is.
        drawn += _HEIGHTS[height] * max(1, round(COLUMNS * ended / whole) - len(drawn))
    return drawn + _HEIGHTS[-1]
