"""The running scatter of one cell's vectors."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from schemas.report import ScatterCell


class ScatterSums:
    """Vectors of one cell: count, mean and the upper triangle of the co-moments, merged by Chan's rule."""

    __slots__ = ("basis", "mean", "n", "upper")

    def __init__(self, basis: int, dimensions: int) -> None:
        self.basis = basis
        self.n = 0
        self.mean = np.zeros(dimensions)
        self.upper = np.zeros(dimensions * (dimensions + 1) // 2)

    def merge(self, n: int, mean: Floats, upper: Floats) -> None:
        """Add a batch. Source: Chan, Golub and LeVeque (1979), equation 1.5, in its vector form."""
        total = self.n + n
        delta = mean - self.mean
        row, column = np.triu_indices(mean.size)
        self.mean = self.mean + delta * (n / total)
        self.upper = self.upper + upper + delta[row] * delta[column] * (self.n * (n / total))
        self.n = total

    def cell(self) -> ScatterCell:
        return ScatterCell(self.basis, self.n, self.mean.astype("<f8").tobytes(), self.upper.astype("<f8").tobytes())
