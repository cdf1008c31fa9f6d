"""The blocks of a rate that closed at one moment, compared once for every detector that looks at them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.past import Past, learn_means
from detectors.sequential.two_by_two import Alternatives, log_ratios, tables_of


class ComparedRates(NamedTuple):
    """What :func:`compare_rates` found for one detector.

    Parameters
    ----------
    batch, means : all the blocks, also as means of zeros and ones.
    rows : int64 [m] of the blocks with both arms.
    log_e : [m, J] of their tables against the detector's alternatives.
    past : the baseline's past with these blocks in it.
    """

    batch: RateBatch
    means: MeanBatch
    rows: Ints
    log_e: Floats
    past: Past


class Compares(Protocol):
    """A detector of 2×2 tables."""

    def alternatives(self, past: Past, rows: Ints) -> Alternatives:
        """[m, J] of blocks in some rows."""
        ...


def compare_rates(past: Past, batch: RateBatch, *detectors: Compares) -> list[ComparedRates]:
    """Compare the tables with the alternatives of each detector.

    Parameters
    ----------
    past : of the baseline, before the blocks.
    batch : blocks that closed at one moment, at least one.
    """
    pairs, means = batch.pairs, MeanBatch.of_rates(batch)
    tables, learned = tables_of(pairs), learn_means(past, means)
    log_e = log_ratios([(tables, detector.alternatives(past, pairs.rows)) for detector in detectors])
    return [ComparedRates(batch, means, pairs.rows, one, learned) for one in log_e]
