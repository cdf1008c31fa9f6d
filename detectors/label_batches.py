"""Label counts of both arms in the blocks that closed at one moment: what an output mix is judged from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.blocks import Block
from detectors.rows import check_rows
from detectors.summaries.counts import Counts


class LabelBatch(msgspec.Struct, frozen=True, eq=False):
    """Counts of one label's values in m blocks, at most one for each row.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments.
    values : names, distinct.
    b, c : [m, V] counts of each value in each arm; rows of zeros where an arm is missing.

    Raises
    ------
    ValueError : when a row or a name repeats, shapes differ, or a count is negative or not finite.

    >>> batch = LabelBatch.of([(1, Counts({"stop": 9}), Counts({"length": 1}))])
    >>> batch.values, batch.b.tolist(), batch.c.tolist()
    (('length', 'stop'), [[0.0, 9.0]], [[1.0, 0.0]])
    """

    rows: Ints
    values: tuple[str, ...]
    b: Floats
    c: Floats

    def __post_init__(self) -> None:
        check_rows(self.rows)
        shape = (self.rows.size, len(self.values))
        if self.b.shape != shape or self.c.shape != shape or len(set(self.values)) != len(self.values):
            raise ValueError(f"LabelBatch: counts are rows × distinct values, found {self.b.shape} and {self.c.shape}")
        if not all(bool(((counts >= 0) & (counts < np.inf)).all()) for counts in (self.b, self.c)):
            raise ValueError("LabelBatch: counts must be finite and >= 0")

    @classmethod
    def of(cls, entries: Sequence[tuple[int, Counts, Counts]]) -> LabelBatch:
        """From (row, baseline, canary) of each block; values in ascending order."""
        values = tuple(sorted({name for _, b, c in entries for name in (*b.counts, *c.counts)}))

        def counts(arms: list[Counts]) -> Floats:
            numbers = [[float(arm.counts.get(name, 0)) for name in values] for arm in arms]
            return np.array(numbers, dtype=np.float64).reshape(len(arms), len(values))

        rows = np.array([row for row, _, _ in entries], dtype=np.int64)
        check_rows(rows)
        return _Checked(rows, values, counts([b for _, b, _ in entries]), counts([c for _, _, c in entries]))


class _Checked(LabelBatch, frozen=True, eq=False):
    def __post_init__(self) -> None:
        """Nothing is asked: counts are valid, and their names distinct."""


def label_batch(blocks: Sequence[Block], label: str, *, baseline: str, canary: str) -> LabelBatch:
    """The batch of one label, e.g. ``finish_reason``.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them.
    label : its bare name.
    baseline, canary : versions.
    """
    nothing = Counts.empty()

    def of(block: Block, version: str) -> Counts:
        summary = block.arms.get(version)
        return nothing if summary is None else summary.labels.get(label, nothing)

    return LabelBatch.of([(block.row, of(block, baseline), of(block, canary)) for block in blocks])
