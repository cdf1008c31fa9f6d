"""The cells of packed events, as codes that are worked out for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.arrays import Ints
from schemas.report import PANE_MS
from streams.ingest.columns import CellName
from streams.ingest.pack_entries import Integers
from streams.ingest.pack_names import PackNames


@dataclass(frozen=True, slots=True)
class PackTimes:
    """Times of the events of packs: ms after the ``base_ms`` of each, and the bounds of each pack."""

    base_ms: Ints
    after_ms: Integers
    after_ms_least: Ints
    after_ms_most: Ints

    def panes(self, n: Ints) -> tuple[Ints | None, int, int]:
        """The pane of each event as what is above the first, None for all in one; the first, and how many there are."""
        if not n.size:
            return None, 0, 1
        firsts, lasts = (self.base_ms + self.after_ms_least) // PANE_MS, (self.base_ms + self.after_ms_most) // PANE_MS
        first, panes = int(firsts.min()), int(lasts.max() - firsts.min()) + 1
        if panes == 1:
            return None, first, 1
        if (firsts == lasts).all():
            return np.repeat(firsts - first, n), first, panes
        return (np.repeat(self.base_ms, n) + self.after_ms) // PANE_MS - first, first, panes


@dataclass(frozen=True, slots=True)
class PackCells:
    """``code`` of the cell of each event, below ``size``: version, segment, kind and pane are its digits."""

    code: Ints
    versions: list[tuple[str, str]]
    segments: list[str]
    kinds: int
    panes: int
    first_pane: int

    @classmethod
    def of(
        cls, names: PackNames, version: Ints, segment: Ints, feedback: Integers | None, times: PackTimes, n: Ints
    ) -> PackCells:
        """The cells of the events of packs without fault.

        Parameters
        ----------
        version, segment : of each event, codes of ``names``.
        feedback : 1 for each event that is; None when none is.
        n : events of each pack.
        """
        pane, first_pane, panes = times.panes(n)
        code = version * np.int64(len(names.segments))
        code += segment
        if feedback is not None:
            code *= 2
            code += feedback
        if pane is not None:
            code *= panes
            code += pane
        kinds = 1 if feedback is None else 2
        return cls(code, list(names.versions), list(names.segments), kinds, panes, first_pane)

    @property
    def size(self) -> int:
        return max(1, len(self.versions) * len(self.segments)) * self.kinds * self.panes

    def name_of(self, code: int) -> CellName:
        code, pane = divmod(code, self.panes)
        code, feedback = divmod(code, self.kinds)
        version, segment = divmod(code, len(self.segments))
        return *self.versions[version], self.segments[segment], self.first_pane + pane, bool(feedback)
