"""Batches of values with known limits: each value counts as a part of one trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.batches import RateBatch, mean_batch
from detectors.blocks import Block


def bounded_batch(
    blocks: Sequence[Block], metric: str, limits: tuple[float, float], *, baseline: str, canary: str
) -> RateBatch:
    """Sums of values within limits as fractional counts: n values with mean m are k = n (m - low) / (high - low) of n.

    What holds for counts of a 2×2 table then holds for these sums. The likelihood ratio of an arm with k of n against
    the rate q is exp(t k) / (1 - q + q e^t)^n, with e^t the ratio of the odds. Now let k be the sum of n independent
    values X in [0, 1] with means q. As x → e^(t x) is convex it lies below its chord, e^(t X) <= 1 - X + X e^t, so
    E e^(t X) <= 1 - q + q e^t whatever the sign of t, and the ratio's mean is at most that of a Bernoulli count with
    the same means (Hoeffding 1963, JASA 58, proof of theorem 1). The e-value of a table is a product of two such
    ratios, so its mean under *any* bounded values with a point of the null as their means is at most the one under
    zeros and ones, which is at most 1. The gates for FAIL and for PASS are both of that form, and stay exact, without
    any variance.

    The price: values count as if they were zeros and ones. Where their variance is v and their mean m, about
    m (1 - m) / v times as many are needed as by a method that knows v.

    Parameters
    ----------
    blocks : that closed at one moment.
    metric : name as in :class:`detectors.summaries.summary.Summary`.
    limits : low and high, in the metric's unit, low < high. Every value must lie within: see :func:`beyond`.
    baseline, canary : versions.

    >>> from detectors.summaries.measure import Measure
    >>> from detectors.summaries.summary import Summary
    >>> arm = Summary(metrics={"feedback.rating": Measure.of(np.array([4.0, 5.0]))})
    >>> block = Block("", 1, 0, 250, {"v1": arm})
    >>> batch = bounded_batch([block], "feedback.rating", (1.0, 5.0), baseline="v1", canary="v2")
    >>> batch.n_b.tolist(), batch.k_b.tolist()
    ([2.0], [1.75])
    """
    low, high = limits
    means = mean_batch(blocks, metric, baseline=baseline, canary=canary)
    k_b, k_c = (
        np.clip(n * (mean - low) / (high - low), 0.0, n)
        for n, mean in ((means.n_b, means.mean_b), (means.n_c, means.mean_c))
    )
    return RateBatch(means.rows, n_b=means.n_b, k_b=k_b, n_c=means.n_c, k_c=k_c)


def beyond(blocks: Sequence[Block], metric: str, limits: tuple[float, float], versions: Sequence[str]) -> bool:
    """Whether a value of one of these versions lies outside the limits: then nothing that is made of them holds."""
    low, high = limits
    seen = [
        arm.metrics[metric]
        for block in blocks
        for v, arm in block.arms.items()
        if v in versions and metric in arm.metrics
    ]
    return any(m.low is not None and m.high is not None and (m.low < low or m.high > high) for m in seen)
