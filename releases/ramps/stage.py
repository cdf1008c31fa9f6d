"""What every ramp comes down to: stages, each a share and the time it is held at least."""

from __future__ import annotations

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """One step of a ramp.

    Parameters
    ----------
    weight_ppm : parts per million, in (0, 1,000,000): the share of *each* canary.
    hold_ms : milliseconds, > 0: the next stage opens after this time at the earliest.

    >>> Stage(weight_ppm=50_000, hold_ms=120_000)
    Stage(weight_ppm=50000, hold_ms=120000)
    """

    weight_ppm: int
    hold_ms: int
