"""Raw records of a source topic, as columns: what every record says before it is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from detectors.arrays import Ints

SMALL_BYTES: Final = 1024
"""Records of this mean size are one event each."""


def _no_key(_row: int) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the order in which they were read; within one source partition that is log order.

    Parameters
    ----------
    raw : the values; None is a tombstone.
    source : int64, source partition of each record.
    offset : int64, offset of each record, ascending within a source partition.
    log_ms : int64, Unix ms, log-append time of each record.
    key_of : the key of the record in a row, asked for dead letters only.
    """

    raw: Sequence[bytes | None]
    source: Ints
    offset: Ints
    log_ms: Ints
    key_of: Callable[[int], bytes | None] = _no_key

    def __len__(self) -> int:
        return len(self.raw)

    def pieces(self, bytes_max: int) -> Iterator[Records]:
        """The records in order; large ones, which may hold many events, in pieces of about so many bytes at most."""
        if sum(map(len, filter(None, self.raw))) <= max(bytes_max, SMALL_BYTES * len(self)):
            yield self
            return
        through = np.cumsum([len(one or b"") for one in self.raw])
        cuts = np.flatnonzero(np.diff(through // bytes_max)) + 1
        for start, end in pairwise([0, *cuts.tolist(), len(self.raw)]):
            yield Records(
                self.raw[start:end],
                self.source[start:end],
                self.offset[start:end],
                self.log_ms[start:end],
                key_of=partial(self._key_from, start),
            )

    def _key_from(self, start: int, row: int) -> bytes | None:
        return self.key_of(start + row)

    def part(self, rows: Ints) -> Records:
        """Some of the records, by their rows here; rows are counted anew in it, and it knows no keys."""
        raw = [self.raw[row] for row in rows.tolist()]
        return Records(raw, self.source[rows], self.offset[rows], self.log_ms[rows])

    @classmethod
    def of(
        cls, raw: Sequence[bytes | None], log_ms: Sequence[int], *, source: int = 0, first_offset: int = 0
    ) -> Records:
        """Records of one source partition with consecutive offsets, for replay and tests."""
        rows = len(raw)
        return cls(
            raw=raw,
            source=np.full(rows, source, dtype=np.int64),
            offset=np.arange(first_offset, first_offset + rows, dtype=np.int64),
            log_ms=np.asarray(log_ms, dtype=np.int64),
        )
