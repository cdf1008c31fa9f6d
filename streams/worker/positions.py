"""Where a partition of ``canary.inputs`` is to be read next, and what an offset that is not the next one means."""

from __future__ import annotations

import enum

SEEKS_MAX = 3
"""Seeking back this often in vain means that the record is not there."""

SEEK_S = 3.0
"""After a seek, records that were already on their way still arrive: they say nothing new for this long."""


class Arrival(enum.Enum):
    """What a record's offset says."""

    NEXT = "next"
    AGAIN = "again"
    """Below the expected one: a redelivery, which is normal after a rebalance."""
    AHEAD = "ahead"
    """Above the expected one: records are missing in between."""


class Position:
    """The next offset of one partition.

    Parameters
    ----------
    expected : the offset that must come next.
    """

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self._seeks, self._sought_s = 0, float("-inf")

    def arrival(self, offset: int) -> Arrival:
        """Compare a record's offset with the expected one; changes nothing."""
        if offset == self.expected:
            return Arrival.NEXT
        return Arrival.AGAIN if offset < self.expected else Arrival.AHEAD

    def passed(self) -> None:
        """The expected record is done with."""
        self.skip_to(self.expected + 1)

    def seek_due(self, now_s: float) -> bool:
        """Whether it is time to seek back, for the first time or again; ``now_s`` is a monotonic clock."""
        return now_s - self._sought_s >= SEEK_S

    def sought(self, now_s: float) -> bool:
        """Note one more seek back to the expected offset; False when that was tried too often."""
        self._seeks += 1
        self._sought_s = now_s
        return self._seeks <= SEEKS_MAX

    def skip_to(self, offset: int) -> None:
        """Go on from ``offset``."""
        self.expected = offset
        self._seeks, self._sought_s = 0, float("-inf")
