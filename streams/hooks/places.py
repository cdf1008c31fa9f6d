"""Which offset may be committed: pure bookkeeping of the decisions whose hooks are still to be carried out."""

from __future__ import annotations


class Places:
    """The first offset of each partition that is not done with; what comes before it needs no repetition.

    >>> places = Places()
    >>> places.begun(0, 7, 1), places.begun(0, 8, 0), places.allowed()
    (None, None, {})
    >>> places.ended(0, 7), places.allowed(), places.allowed()
    (None, {0: 9}, {})
    """

    def __init__(self) -> None:
        self._open: dict[int, dict[int, int]] = {}
        self._next: dict[int, int] = {}
        self._allowed: dict[int, int] = {}

    @property
    def waiting(self) -> int:
        """Deliveries that have not ended."""
        return sum(sum(counts.values()) for counts in self._open.values())

    def begun(self, partition: int, offset: int, deliveries: int) -> None:
        """A record was read that asks for so many deliveries. Records of a partition come in order."""
        open_ = self._open.setdefault(partition, {})
        self._allowed.setdefault(partition, offset)
        self._next[partition] = offset + 1
        if deliveries:
            open_[offset] = deliveries

    def ended(self, partition: int, offset: int) -> None:
        """One of the record's deliveries has ended."""
        open_ = self._open[partition]
        open_[offset] -= 1
        if not open_[offset]:
            del open_[offset]

    def allowed(self) -> dict[int, int]:
        """The offset that may be committed, of each partition that has a new one since the last call."""
        found: dict[int, int] = {}
        for partition, open_ in self._open.items():
            offset = next(iter(open_), self._next[partition])
            if offset > self._allowed[partition]:
                found[partition] = self._allowed[partition] = offset
        return found

    def clear(self) -> None:
        """The partitions are somebody else's, or come again from what was committed."""
        self._open.clear()
        self._next.clear()
        self._allowed.clear()
