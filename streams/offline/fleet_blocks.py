"""The open blocks of every segment of many releases, in whole seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.blocks import BLOCK_MS_MAX, BLOCK_REQUESTS_MIN
from schemas.report import SLICE_MS
from streams.offline.arrivals import STEP_MS
from streams.offline.fleet_columns import Columns, N
from streams.offline.simulate import START_MS

_BLOCK_STEPS = BLOCK_MS_MAX // STEP_MS


class Closed(NamedTuple):
    """Blocks that closed at one moment: release, row and sums [2, columns] of each."""

    release: Ints
    rows: Ints
    sums: Floats
    ended_ms: int


class Blocks:
    """The open blocks of every segment of every release, by the rule of :mod:`detectors.blocks` on whole seconds."""

    def __init__(self, releases: int, segments: Sequence[str], columns: Columns, baseline_first: bool) -> None:
        shape = (releases, len(segments))
        self._arrivals = list(columns.arrivals)
        self._names = tuple(segments)
        self._by_name = np.argsort(np.array(segments))
        self._baseline_first = baseline_first
        self._rows = np.zeros(shape, dtype=np.int64)
        self._since = np.zeros(shape, dtype=np.int64)
        self._sums = np.zeros((*shape, 2, columns.width))

    def add(self, at: int, heard: Floats) -> list[Closed]:
        """Add the second ``at``; the blocks that it closes, by count and then by time."""
        # Whatever is reported of a segment opens its block; only requests fill it.
        there = heard[..., self._arrivals].sum(axis=3)
        some = there.sum(axis=2) > 0
        open_before = self._sums[..., self._arrivals].sum(axis=(2, 3)) > 0
        self._since[~open_before & some] = at
        for release in np.flatnonzero(((self._rows == 0) & some).any(axis=1)).tolist():
            self._appear(release, there[release])
        self._sums += heard
        full = self._sums[..., N].sum(axis=2) >= BLOCK_REQUESTS_MIN
        old = (open_before | some) & ~full & (at - self._since >= _BLOCK_STEPS - 1)
        ended_ms = START_MS + (at + 1) * STEP_MS
        # By then time has passed up to the last slice of the second that reports this one.
        passed_ms = ended_ms + STEP_MS - SLICE_MS
        pairs = ((full, ended_ms), (old, passed_ms))
        return [self._close(which, ended_ms=end_ms) for which, end_ms in pairs if which.any()]

    def _appear(self, release: int, n: Floats) -> None:
        """Rows in the order in which segments appear: those of one second by version and name."""
        for side in (0, 1) if self._baseline_first else (1, 0):
            for segment in self._by_name.tolist():
                if n[segment, side] > 0 and self._rows[release, segment] == 0:
                    self._rows[release, segment] = self._rows[release].max() + 1

    def _close(self, which: Flags, *, ended_ms: int) -> Closed:
        release, segment = np.nonzero(which)
        rows = self._rows[release, segment]
        order = np.lexsort((rows, release))
        release, segment = release[order], segment[order]
        sums = self._sums[release, segment]
        self._sums[release, segment] = 0.0
        return Closed(release, rows[order], sums, ended_ms)

    def segment(self, release: int, row: int) -> str:
        """The segment of a release's row; empty for the total."""
        return self._names[int(np.flatnonzero(self._rows[release] == row)[0])] if row else ""

    def keep(self, index: Ints) -> None:
        """Forget all but some releases."""
        self._rows, self._since, self._sums = self._rows[index], self._since[index], self._sums[index]
