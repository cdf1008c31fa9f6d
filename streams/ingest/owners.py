"""What the groups of a batch belong to, and in which order their names are admitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from detectors.arrays import Ints
from streams.ingest.sums import CellSums, SliceSums


class Owner(NamedTuple):
    """The slice and its number among those of the batch, the cell, and whether the events of a group are feedback."""

    sums: SliceSums
    stretch: int
    cell: CellSums
    feedback: bool


def ranks(codes: Ints, names: Sequence[Any]) -> Ints:
    """The place of each code's name among the names in use, in their order as text.

    What one event brings is admitted in this order: a format in columns does not know how a record was written.
    """
    used = sorted(set(codes.tolist()), key=lambda code: (names[code], code))
    place = {code: at for at, code in enumerate(used)}
    return np.fromiter(map(place.__getitem__, codes.tolist()), np.int64, codes.size)
