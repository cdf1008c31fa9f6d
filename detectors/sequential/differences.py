"""Within-block differences of means, with their two variances."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from detectors.arrays import Floats
from detectors.batches import MeanBatch

Worse = Literal["higher", "lower"]
"""Which direction of a metric is harm."""


class Differences(NamedTuple):
    """Each [m, G]: m blocks, G scales of the baseline; or [m], the baseline as it is.

    ``weight`` w = n_c n_b / n, ``s`` = w (m_c - scale m_b), ``v_score`` = w (M2_c + scale² M2_b) / (n - 2), and
    ``v_hc``, the sandwich: (1-p)² Σ_c (x - m)² + p² Σ_b (scale x - m)², m the block's pooled mean and p = n_c / n.
    """

    weight: Floats
    s: Floats
    v_score: Floats
    v_hc: Floats


def differences(batch: MeanBatch, scale: Floats | None = None) -> Differences:
    """Compare the canary with the scaled baseline within each block.

    The squares of v_hc are taken around the *pooled* mean: around its own, one canary request would have no spread
    at all, and at a share of 1 % most blocks hold one. It is the variance of s given the pooled sample (White 1980,
    HC0, with the two arms as regressors). v_score assumes one variance for both arms.

    Parameters
    ----------
    batch : blocks with both arms.
    scale : [m, G] factor on the baseline: 1.1 asks for a canary 10 % higher; None compares as it is.

    >>> from detectors.summaries.moments import Moments
    >>> d = differences(MeanBatch.of([(1, Moments(2, 1.0, 2.0), Moments(2, 3.0, 2.0))]))
    >>> float(d.weight[0]), float(d.s[0]), float(d.v_score[0]), float(d.v_hc[0])
    (1.0, 2.0, 2.0, 2.0)
    """
    if scale is None:
        return _within(*batch.arms)
    n_b, mean_b, m2_b, *canary = (column[:, None] for column in batch.arms)
    found = _within(n_b, mean_b * scale, m2_b * (scale * scale), *canary)
    return found._replace(weight=found.weight.repeat(scale.shape[1], axis=1))


def _within(n_b: Floats, mean_b: Floats, m2_b: Floats, n_c: Floats, mean_c: Floats, m2_c: Floats) -> Differences:
    n = n_c + n_b
    p = n_c / n
    rest = 1.0 - p
    gap = mean_c - mean_b
    w = n_c * rest
    s = w * gap
    # The arms' means lie (1-p) gap and p gap from the pooled one, and n_c (1-p)⁴ + n_b p⁴ = w (1 - 3 p (1-p)).
    v_hc = rest * rest * m2_c + p * p * m2_b + (1.0 - 3.0 * p * rest) * s * gap
    v_score = w / np.maximum(n - 2.0, 1.0) * (m2_c + m2_b)
    return Differences(w, s, v_score, v_hc)


def scales(worse: Worse, amounts: Floats, mean: Floats) -> Floats:
    """[m, G] the factors on the baseline that make it worse by relative amounts.

    A baseline whose mean is negative gets worse (higher) towards zero: the amount is relative to the magnitude.

    Parameters
    ----------
    worse : direction of harm.
    amounts : [G] relative, each within [0, 1).
    mean : [m] the baseline's past mean in each row, for its sign.

    >>> scales("higher", np.array([0.0, 0.1]), np.array([5.0, -5.0])).tolist()
    [[1.0, 1.1], [1.0, 0.9]]
    """
    return 1.0 + changes(amounts if worse == "higher" else -amounts, mean)


def changes(amounts: Floats, mean: Floats) -> Floats:
    """[m, G] how much of its values a baseline has more when its mean rises by relative amounts, which may be < 0."""
    sign = np.where(mean < 0, -1.0, 1.0)
    return sign[:, None] * amounts
