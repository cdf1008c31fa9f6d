"""Batches of vectors: the blocks that closed at one moment, with each arm's mean vector and co-moments."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.rows import check_rows
from detectors.summaries.scatter import Scatter


class VectorBatch(msgspec.Struct, frozen=True, eq=False):
    """Scatter of both arms in m blocks, at most one for each row.

    The coordinates are whoever counts chose: metrics on a natural scale (logs of latencies and of counts),
    standardised, clipped, and with products of pairs where a changed correlation is to be seen.

    Parameters
    ----------
    rows : int64 [m], distinct, each >= 1: rows of segments.
    n_b, mean_b, s_b : [m], [m, d] and [m, d, d] count, mean and sum of (u - mean)(u - mean)ᵀ of the baseline.
    n_c, mean_c, s_c : the same of the canary. An arm that is missing has n = 0.

    Raises
    ------
    ValueError : when a row repeats or is below 1, shapes do not fit, numbers are not finite, or a count negative.

    >>> pair = Scatter.of(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> batch = VectorBatch.of([(1, pair, pair)])
    >>> batch.mean_c.tolist(), batch.paired.tolist()
    ([[1.0, 1.0]], [True])
    """

    rows: Ints
    n_b: Floats
    mean_b: Floats
    s_b: Floats
    n_c: Floats
    mean_c: Floats
    s_c: Floats

    def __post_init__(self) -> None:
        check_rows(self.rows)
        m, d = self.rows.size, self.mean_b.shape[-1]
        for n, mean, s in ((self.n_b, self.mean_b, self.s_b), (self.n_c, self.mean_c, self.s_c)):
            if (n.shape, mean.shape, s.shape) != ((m,), (m, d), (m, d, d)):
                raise ValueError("VectorBatch: counts [m], means [m, d] and scatters [m, d, d], one for each row")
            if not (np.isfinite(n).all() and np.isfinite(mean).all() and np.isfinite(s).all()) or bool((n < 0).any()):
                raise ValueError("VectorBatch: every number must be finite, and n >= 0")

    @classmethod
    def of(cls, entries: Sequence[tuple[int, Scatter, Scatter]]) -> VectorBatch:
        """From (row, baseline, canary) of each block; at least one."""
        rows = np.array([row for row, _, _ in entries], dtype=np.int64)

        def arm(parts: list[Scatter]) -> tuple[Floats, Floats, Floats]:
            n = np.array([float(part.n) for part in parts])
            return n, np.array([part.mean for part in parts]), np.array([part.s for part in parts])

        return cls(rows, *arm([b for _, b, _ in entries]), *arm([c for _, _, c in entries]))

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms."""
        return (self.n_b > 0) & (self.n_c > 0)
