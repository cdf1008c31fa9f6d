"""The blocks of a rate that closed at one moment, compared once for every detector that looks at them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from detectors.arrays import Floats, Ints
from detectors.batches import MeanBatch, RateBatch
from detectors.sequential.past import Past, learn_means
from detectors.sequential.two_by_two import Alternatives, log_ratio, tables_of


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
    asked = [detector.alternatives(past, pairs.rows) for detector in detectors]
    log_e = log_ratio(tables_of(pairs), *Alternatives.beside(asked))
    learned, found, first = learn_means(past, means), list[ComparedRates](), 0
    for one in asked:
        last = first + one.gap.size
        found.append(ComparedRates(batch, means, pairs.rows, log_e[:, first:last], learned))
        first = last
    return found
