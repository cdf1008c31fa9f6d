"""The bins of positive numbers by a table of their leading bits, in place of a logarithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.arrays import Bins, Floats

_DIGITS: Final = 7
_SHIFT: Final = np.uint64(52 - _DIGITS)
_INFINITE: Final = np.float64(np.inf).view(np.uint64) >> _SHIFT
"""Sign and exponent of what is negative or not finite are not below this one's."""

Bits = npt.NDArray[np.uint64]


class BinLookup:
    """Answers as a rule does for positive finite numbers, to the bit, since it is made of the rule's own answers.

    Numbers with the same exponent and the same first seven digits lie within 0.8 % of each other. So when bins are
    wider than that, there is at most one edge among them, and comparing with it says which of two bins it is.

    Parameters
    ----------
    rule : bins of positive numbers, ascending by steps of one.
    lowest, highest : powers of two; below the one, and from the other on, nothing changes.
    """

    def __init__(self, rule: Callable[[Floats], Bins], *, lowest: float, highest: float) -> None:
        self._first = np.float64(lowest).view(np.uint64) >> _SHIFT
        last = np.float64(highest).view(np.uint64) >> _SHIFT
        starts = np.arange(self._first, last + np.uint64(1), dtype=np.uint64) << _SHIFT
        ends = starts + (np.uint64(1) << _SHIFT) - np.uint64(1)
        self._bins = rule(starts.view(np.float64))
        self._edges = np.full(starts.size, np.inf)
        split = np.flatnonzero(rule(ends.view(np.float64)) > self._bins)
        self._edges[split] = _edges(rule, starts[split], ends[split], self._bins[split])

    def __call__(self, values: Floats) -> Bins | None:
        """The bins of values, or None when one of them is negative or not finite."""
        leading = np.asarray(values, order="C").view(np.uint64) >> _SHIFT
        if leading.size and leading.max() >= _INFINITE:
            return None
        place = leading.view(np.int64)
        place -= int(self._first)
        found: Bins = self._bins.take(place, mode="clip")
        found += values > self._edges.take(place, mode="clip")
        return found


def _edges(rule: Callable[[Floats], Bins], low: Bits, high: Bits, bins: Bins) -> Floats:
    """The largest number of each bin within ``low`` to ``high``, where the next bin begins; by halving."""
    for _ in range(int(_SHIFT)):
        middle = low + ((high - low) >> np.uint64(1))
        above = rule(middle.view(np.float64)) > bins
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low.view(np.float64)
