"""The blocks of a rate that closed at one moment, compared once for every detector that looks at them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from detectors.arrays import Floats, Ints
from detectors.batches import RateBatch
from detectors.sequential.past_rate import PastRate, learn_rates
from detectors.sequential.two_by_two import Alternatives, log_ratios, tables_of


class ComparedRates(NamedTuple):
    """What :func:`compare_rates` found for one detector.

    Parameters
    ----------
    batch : all the blocks.
    rows : int64 [m] of the blocks with both arms.
    log_e : [m, J] of their tables against the detector's alternatives.
    past : the baseline's past with these blocks in it.
    """

    batch: RateBatch
    rows: Ints
    log_e: Floats
    past: PastRate


class Compares(Protocol):
    """A detector of 2×2 tables."""

    def alternatives(self, past: PastRate, rows: Ints) -> Alternatives:
        """[m, J] of blocks in some rows."""
        ...


def compare_rates(past: PastRate, batch: RateBatch, *detectors: Compares) -> list[ComparedRates]:
    """Compare the tables with the alternatives of each detector.

    Parameters
    ----------
    past : of the baseline, before the blocks.
    batch : blocks that closed at one moment, at least one.
    """
    pairs = batch.pairs
    tables, learned = tables_of(pairs), learn_rates(past, batch.rows, n=batch.n_b, k=batch.k_b, stride=batch.stride)
    log_e = log_ratios([(tables, detector.alternatives(past, pairs.rows)) for detector in detectors])
    return [ComparedRates(batch, pairs.rows, one, learned) for one in log_e]
