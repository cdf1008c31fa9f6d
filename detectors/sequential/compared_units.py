"""The blocks of one moment where units are counted, compared once for every detector that looks at them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from detectors.sequential.clustered import Gain, gain_of
from detectors.sequential.unit_mixture import Known, learned
from detectors.unit_batches import UnitBatch, UnitTotals


class ComparedUnits(NamedTuple):
    """What :func:`compare_units` found.

    Parameters
    ----------
    batch, totals : all the blocks.
    known : the baseline, with these blocks in its past.
    gain : what the blocks add that are evidence; None when there are none.
    """

    batch: UnitBatch
    totals: UnitTotals
    known: Known
    gain: Gain | None


def compare_units(known: Known, batch: UnitBatch, prior_rate: float | None) -> ComparedUnits:
    """Compare the canary with the baseline within each block.

    Parameters
    ----------
    known : of the baseline, before the blocks.
    batch : blocks that closed at one moment, at least one.
    prior_rate : for zeros and ones the rate expected before anything was seen; None for other values.

    >>> import numpy as np
    >>> from detectors.sequential.unit_mixture import start_known
    >>> one = np.ones((1, 200))
    >>> batch = UnitBatch.of_counts(np.array([1]), n_b=one, k_b=0 * one, n_c=one, k_c=one)
    >>> found = compare_units(start_known(), batch, 0.01)
    >>> found.gain.w.tolist(), compare_units(start_known(), batch, None).gain is None
    ([100.0, 100.0], True)
    """
    totals, relative = batch.totals, prior_rate is None
    after, ready = learned(known, batch, totals, prior_rate)
    pairs = batch if all(ready.tolist()) else batch.take(ready)
    if not pairs.rows.size:
        return ComparedUnits(batch, totals, after, None)
    gain = gain_of(pairs, totals if pairs is batch else pairs.totals, relative=relative)
    phi, phi_sq = gain.place.plus(after.phi, gain.phi), gain.place.plus(after.phi_sq, gain.phi_sq)
    return ComparedUnits(batch, totals, msgspec.structs.replace(after, phi=phi, phi_sq=phi_sq), gain)
