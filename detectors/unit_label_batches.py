"""Label counts of both arms by bucket of units: what an output mix is judged from where units are counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats, Ints
from detectors.blocks import Block
from detectors.label_batches import LabelBatch, label_batch
from detectors.rows import check_rows
from detectors.summaries.bucket_counts import BucketCounts, table
from detectors.unit_batches import BUCKETS, CheckedUnits, UnitBatch
from detectors.unit_strays import bucket_of_strays

_NOTHING: Final = BucketCounts.empty()


class UnitLabels(msgspec.Struct, frozen=True, eq=False):
    """The blocks that closed at one moment: how often each value of a label came, by bucket of units.

    Parameters
    ----------
    rows : int64 [m], ascending, each >= 1: rows of segments.
    values : names that occur, distinct.
    n_b, n_c : [m, K] values of each arm in each bucket.
    k_b, k_c : [V, m, K] how many of them were each of the names.

    Raises
    ------
    ValueError : when a name repeats, shapes do not fit, rows do not ascend, or counts are not finite and 0 <= k <= n.
    """

    rows: Ints
    values: tuple[str, ...]
    n_b: Floats
    n_c: Floats
    k_b: Floats
    k_c: Floats

    def __post_init__(self) -> None:
        shape = (len(self.values), *self.n_b.shape)
        if len(set(self.values)) != len(self.values) or {self.k_b.shape, self.k_c.shape} != {shape}:
            raise ValueError(f"UnitLabels: counts are values × rows × buckets, found {self.k_b.shape}, not {shape}")
        check_rows(self.rows)
        if bool((np.diff(self.rows) < 0).any()):
            raise ValueError(f"UnitLabels: rows must ascend, found {self.rows.tolist()}")
        for n, k in ((self.n_b, self.k_b), (self.n_c, self.k_c)):
            if not bool(((k >= 0) & (k <= n) & (n < np.inf)).all()):
                raise ValueError("UnitLabels: counts must be finite with 0 <= k <= n")

    def counted(self, groups: Sequence[tuple[str, ...]], stride: int) -> UnitBatch:
        """A group of rows for each choice of names: they are ones in it, and all others zeros.

        Parameters
        ----------
        groups : of names; one may be empty.
        stride : rows of a group, more than any row here.
        """
        chosen = np.array([[name in names for name in self.values] for names in groups], dtype=np.float64)
        k_b, k_c = (np.einsum("gv,vmk->gmk", chosen, counts).reshape(-1, BUCKETS) for counts in (self.k_b, self.k_c))
        n_b, n_c = (np.tile(n, (len(groups), 1)) for n in (self.n_b, self.n_c))
        rows = (stride * np.arange(len(groups))[:, None] + self.rows).ravel()
        return CheckedUnits.of_counts(rows, n_b=n_b, k_b=k_b, n_c=n_c, k_c=k_c, stride=stride)


class _CheckedLabels(UnitLabels, frozen=True, eq=False):
    def __post_init__(self) -> None:
        """Nothing is asked: summaries hold counts that are valid."""


def unit_labels(blocks: Sequence[Block], label: str, *, baseline: str, canary: str) -> UnitLabels:
    """The counts of one label, those without a unit as in :mod:`detectors.unit_strays`.

    Parameters
    ----------
    blocks : that closed at one moment, as :func:`detectors.blocks.add` returns them; at least one.
    label : its bare name.
    baseline, canary : versions.
    """
    blocks = sorted(blocks, key=lambda block: block.row)
    whole: LabelBatch = label_batch(blocks, label, baseline=baseline, canary=canary)
    arms = (baseline, canary)
    found = table([_of(block, arm, label, name) for arm in arms for name in whole.values for block in blocks])
    found = found.reshape(len(arms), len(whole.values), len(blocks), BUCKETS)
    stray = bucket_of_strays(max(block.ended_ms for block in blocks))
    found[..., stray] += np.array((whole.b.T, whole.c.T)) - found.sum(axis=3)
    k_b, k_c = found
    return _CheckedLabels(whole.rows, whole.values, k_b.sum(axis=0), k_c.sum(axis=0), k_b, k_c)


def _of(block: Block, version: str, label: str, name: str) -> BucketCounts:
    """How often one value of a label came from each bucket."""
    summary = block.arms.get(version)
    units = None if summary is None else summary.units
    return _NOTHING if units is None else units.labels.get(label, {}).get(name, _NOTHING)
