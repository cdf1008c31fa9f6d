"""The blocks of a mean that closed at one moment, compared once for every detector that looks at them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.arrays import Flags, Floats, constant
from detectors.batches import MeanBatch
from detectors.rows import height_of
from detectors.sequential.differences import Differences, Worse, differences, scales
from detectors.sequential.past import Past, learn_means, spread


class Compared(NamedTuple):
    """What :func:`compare` found.

    Parameters
    ----------
    batch : all the blocks.
    pairs : the m of them with both arms.
    found : [m, K] their differences, a column for each amount.
    mean, sd : [R] of the baseline's past in each row, as :func:`detectors.sequential.past.spread` gives them.
    known : [m] of which pairs the baseline's spread is known.
    past : the baseline's past with these blocks in it.
    """

    batch: MeanBatch
    pairs: MeanBatch
    found: Differences
    mean: Floats
    sd: Floats
    known: Flags
    past: Past

    @property
    def as_it_is(self) -> Differences:
        """[m] of the first amount, which is none: from the baseline as it is."""
        return Differences(*(column[:, 0] for column in self.found))

    def columns(self, first: int, last: int) -> Compared:
        """Some of the amounts."""
        return self._replace(found=Differences(*(column[:, first:last] for column in self.found)))

    def take(self, chosen: Flags) -> Compared:
        """Some of the pairs."""
        if all(chosen.tolist()):
            return self
        found = Differences(*(column[chosen] for column in self.found))
        return self._replace(pairs=self.pairs.take(chosen), found=found, known=self.known[chosen])


def compare(past: Past, batch: MeanBatch, worse: Worse, amounts: tuple[float, ...]) -> Compared:
    """Compare the canary with a baseline that is worse by each of some amounts.

    Parameters
    ----------
    past : of the baseline, before the blocks.
    batch : blocks that closed at one moment, at least one.
    worse : direction of harm.
    amounts : relative, each within [0, 1).

    >>> from detectors.sequential.past import start_past
    >>> from detectors.summaries.moments import Moments
    >>> batch = MeanBatch.of([(1, Moments(2, 1.0, 2.0), Moments(2, 3.0, 2.0))])
    >>> compare(start_past(), batch, "higher", (0.0, 0.5)).found.s.tolist()
    [[2.0, 1.5]]
    """
    mean, sd = spread(past, height_of(batch.rows))
    pairs = batch.take(batch.paired)
    found = differences(pairs, scales(worse, constant(amounts), mean[pairs.rows]))
    return Compared(batch, pairs, found, mean, sd, ~np.isnan(sd[pairs.rows]), learn_means(past, batch))
