"""Rules: the weights of some segments, before those of everyone else."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """Comes before the weights for requests of the named segments; what it leaves belongs to the fallback."""

    segments: tuple[str, ...]
    weights_ppm: dict[str, int]
