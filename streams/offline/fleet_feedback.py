"""What users will say of the answers of many releases, kept until it is heard of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.arrays import Floats, Ints


class Given(NamedTuple):
    """Feedback of one kind: of which release (by its seed), segment and arm it is, and its value."""

    seed: Ints
    segment: Ints
    canary: Ints
    value: Floats

    def take(self, chosen: Ints) -> Given:
        """Some of it."""
        return Given(self.seed[chosen], self.segment[chosen], self.canary[chosen], self.value[chosen])


class FleetFeedback:
    """The feedback that is still to come, by the second in which it comes.

    Parameters
    ----------
    centres : for each kind of feedback the c of its sums.
    segments : how many there are.
    """

    def __init__(self, centres: tuple[float, ...], segments: int) -> None:
        self._centres, self._segments = centres, segments
        self._due: dict[int, list[tuple[int, Given]]] = {}

    def keep(self, kind: int, due: Ints, given: Given) -> None:
        """Feedback of one kind on requests of this second, and the second in which each of it will be heard."""
        order = np.argsort(due, kind="stable")
        steps, starts = np.unique(due[order], return_index=True)
        for step, part in zip(steps.tolist(), np.split(order, starts)[1:], strict=True):
            self._due.setdefault(step, []).append((kind, given.take(part)))

    def heard(self, step: int, seeds: Ints) -> Floats:
        """[releases, segments, 2, 3 × kinds] how many, Σ (x - c) and Σ (x - c)² of what is heard in a second.

        Parameters
        ----------
        seeds : of the releases that still go on; what is said of others is forgotten.
        """
        rows = seeds.size * self._segments * 2
        sums = np.zeros((len(self._centres), 3, rows))
        order = np.argsort(seeds)
        for kind, given in self._due.pop(step, []):
            place = order[np.minimum(np.searchsorted(seeds, given.seed, sorter=order), seeds.size - 1)]
            alive = seeds[place] == given.seed
            row = ((place * self._segments + given.segment) * 2 + given.canary)[alive]
            away = given.value[alive] - self._centres[kind]
            for index, weights in enumerate((None, away, away * away)):
                sums[kind, index] += np.bincount(row, weights=weights, minlength=rows)
        whole: Floats = sums.reshape(-1, rows).T.reshape(seeds.size, self._segments, 2, -1)
        return whole
