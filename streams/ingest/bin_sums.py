"""Counts by bin of all metrics of one slice, within a bound, and how they are written into a report.

While there is room, batches wait as they are and are added up by sorting when a report is due: no bin is ever looked
at in Python. Once there is none, bins find their places one by one, in the order of the log.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Final

import numpy as np

from detectors.arrays import Ints
from detectors.summaries.log_histogram import BIN_MAX

_TARGET: Final = 2 * BIN_MAX + 1
"""Codes of one target: its bins, -BIN_MAX..BIN_MAX."""

_WAITING_MAX: Final = 1 << 14


class BinSums:
    """Targets are the metrics of cells, numbered by :class:`streams.ingest.sums.SliceSums`.

    Parameters
    ----------
    most : bins beyond the first of each target that may be opened.
    """

    __slots__ = ("_codes", "_counts", "_extra", "_left", "_open", "_waiting", "_waiting_size")

    def __init__(self, most: int) -> None:
        self._left = most
        self._codes, self._counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._extra = 0
        self._waiting: list[tuple[Ints, Ints]] = []
        self._waiting_size = 0
        self._open: dict[int, dict[int, int]] | None = None

    def has_room(self, entries: int) -> bool:
        """Whether so many bins can be opened, whatever they are; once there was no room there is none."""
        if self._open is not None:
            return False
        if self._extra + self._waiting_size + entries > self._left:
            self._settle()
        if self._extra + entries > self._left:
            self._open = {}
            for code, count in zip(self._codes.tolist(), self._counts.tolist(), strict=True):
                target, index = divmod(code, _TARGET)
                self._open.setdefault(target, {})[index - BIN_MAX] = count
            self._left -= self._extra
        return self._open is None

    def add(self, target: Ints, index: Ints, counts: Ints) -> None:
        """Count values by bin; there has to be room for them."""
        self._waiting.append((target * _TARGET + (index + BIN_MAX), counts))
        self._waiting_size += target.size
        if self._waiting_size > _WAITING_MAX + 2 * self._codes.size:
            self._settle()

    def add_scarce(self, target: int, index: int, count: int) -> bool:
        """Count values of one bin where there is no room for all; the nearest open bin counts what has no place.

        To be called in the order of the log. Returns whether the bin found its place.
        """
        assert self._open is not None
        bins = self._open.setdefault(target, {})
        if index in bins:
            bins[index] += count
        elif not bins:
            bins[index] = count
        elif self._left > 0:
            self._left -= 1
            bins[index] = count
        else:
            bins[_nearest(sorted(bins), index)] += count
            return False
        return True

    def kept(self, target: int, index: int) -> int:
        """The bin that counts values of a bin, once :meth:`add_scarce` has counted some."""
        assert self._open is not None
        bins = self._open[target]
        return index if index in bins else _nearest(sorted(bins), index)

    def report(self, targets: int) -> list[tuple[bytes, bytes]]:
        """Bins and counts of each target below ``targets``, ascending, as a ``MetricCell`` has them."""
        if self._open is None:
            self._settle()
            codes, counts = self._codes, self._counts
        else:
            opened = ((at * _TARGET, bins) for at, bins in self._open.items())
            pairs = sorted((first + index + BIN_MAX, n) for first, bins in opened for index, n in bins.items())
            codes, counts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        target, index = np.divmod(codes, _TARGET)
        edges = np.searchsorted(target, np.arange(targets + 1)).tolist()
        bins_bytes, counts_bytes = (index - BIN_MAX).astype("<i4").tobytes(), counts.astype("<i8").tobytes()
        return [(bins_bytes[4 * start : 4 * end], counts_bytes[8 * start : 8 * end]) for start, end in pairwise(edges)]

    def _settle(self) -> None:
        if not self._waiting:
            return
        codes = np.concatenate([self._codes, *(codes for codes, _ in self._waiting)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._waiting)])
        self._waiting.clear()
        self._waiting_size = 0
        order = np.argsort(codes, kind="stable")
        ascending = codes[order]
        starts = np.flatnonzero(np.diff(ascending, prepend=-1))
        self._codes, self._counts = ascending[starts], np.add.reduceat(counts[order], starts)
        targets = np.count_nonzero(np.diff(self._codes // _TARGET, prepend=-1))
        self._extra = self._codes.size - int(targets)


def _nearest(ascending: list[int], index: int) -> int:
    at = bisect_left(ascending, index)
    around = ascending[max(0, at - 1) : at + 1]
    return min(around, key=lambda one: abs(one - index))
