"""The joint gate, on simulated releases of three metrics, two of which go together, with fixed seeds.

Releases are rows of one state, so they share the covariance that was learned, as the segments of a release do.
"""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.sequential.joint import Joint, JointState
from detectors.summaries.scatter import Scatter
from detectors.vector_batches import VectorBatch
from tests.detectors.sequential.many import ALPHA

BLOCK = 50
CLIP = 6.0


def coordinates(x: Floats, products: bool) -> Floats:
    """Standardised metrics, clipped, and the products of pairs."""
    clipped = np.clip(x, -CLIP, CLIP)
    if not products:
        return clipped
    pairs = [clipped[..., i] * clipped[..., j] for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.concatenate([clipped, np.stack(pairs, axis=-1)], axis=-1)


class Traffic:
    """Endless blocks of many releases; the canary's metrics are shifted, or correlated otherwise."""

    def __init__(
        self, *, share: float, shift: tuple[float, ...] = (0.0,), correlation: float = 0.7, skewed: bool = False
    ) -> None:
        self.share, self.shift, self.correlation, self.skewed = share, shift, correlation, skewed

    def batch(self, rng: np.random.Generator, releases: int, products: bool) -> VectorBatch:
        n_c = max(1, round(BLOCK * self.share))
        arms = []
        for n, correlation, shift in ((BLOCK - n_c, 0.7, (0.0,)), (n_c, self.correlation, self.shift)):
            x = rng.normal(size=(releases, n, 3))
            x[..., 1] = correlation * x[..., 0] + (1 - correlation**2) ** 0.5 * x[..., 1]
            if self.skewed:
                x = (np.exp(0.5 * x) - np.exp(0.125)) / (np.exp(0.25) * (np.exp(0.25) - 1)) ** 0.5
            u = coordinates(x + np.array(shift), products)
            centred = u - u.mean(axis=1, keepdims=True)
            arms.append((np.full(releases, float(n)), u.mean(axis=1), np.einsum("rni,rnj->rij", centred, centred)))
        return VectorBatch(np.arange(1, releases + 1), *arms[0], *arms[1])


def canary_requests(traffic: Traffic, *, products: bool, releases: int, blocks: int, seed: int) -> Floats:
    """[releases] canary requests after the learning until the evidence reaches 1 / ALPHA; inf where it never does."""
    gate, rng = Joint(dimensions=6 if products else 3), np.random.default_rng(seed)
    state = gate.observe(gate.start(), traffic.batch(rng, releases, products))
    each = max(1, round(BLOCK * traffic.share))
    hits = np.full(releases, np.inf)
    for t in range(1, blocks + 1):
        state = gate.observe(state, traffic.batch(rng, releases, products))
        hits = np.where(np.isinf(hits) & (gate.harm(state)[1:] >= -log(ALPHA)), t * each, hits)
        if np.isfinite(hits).all():
            break
    return hits


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "lognormal"])
@pytest.mark.parametrize("share", [0.5, 0.06], ids=["50 %", "6 %"])
def test_healthy_releases_are_left_alone(share: float, skewed: bool) -> None:
    """300 healthy releases of 300 blocks, with products of pairs: at most 5 % and two standard errors reach 1/α."""
    traffic = Traffic(share=share, skewed=skewed)
    hits = canary_requests(traffic, products=True, releases=300, blocks=300, seed=80)
    assert np.isfinite(hits).mean() <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / 300) ** 0.5


@pytest.mark.parametrize(
    ("share", "second", "limit"),
    [(0.06, -0.2, 110), (0.5, -0.2, 200), (0.06, 0.2, 210), (0.5, 0.2, 420)],
    ids=["6 %, against", "50 %, against", "6 %, along", "50 %, along"],
)
def test_three_small_shifts_at_once_are_found(share: float, second: float, limit: int) -> None:
    """Three shifts of .2 standard deviations: the median canary requests until the difference is shown. Against the
    correlation of the first two it is found sooner than along it: δᵀΣ⁻¹δ is .31, or .087.

    Measured against it: 85 and 175; along it: 174 and 350. A test that
    knows the shift along it needs about W = 2 ln 20 / .087 = 70.
    """
    traffic = Traffic(share=share, shift=(0.2, second, 0.2))
    hits = canary_requests(traffic, products=False, releases=200, blocks=200, seed=81)
    assert np.median(hits) <= limit


@pytest.mark.parametrize(("share", "limit"), [(0.06, 120), (0.5, 200)], ids=["6 %", "50 %"])
def test_a_changed_correlation_is_found_by_products_alone(share: float, limit: int) -> None:
    """A correlation of .7 that becomes -.2: found with the products of pairs, and by hardly any release without."""
    traffic = Traffic(share=share, correlation=-0.2)
    assert np.median(canary_requests(traffic, products=True, releases=200, blocks=200, seed=82)) <= limit
    without = canary_requests(traffic, products=False, releases=200, blocks=200, seed=82)
    assert np.isfinite(without).mean() <= 0.15


def state_after(gate: Joint, traffic: Traffic, factors: Floats, blocks: int = 40) -> JointState:
    rng, state = np.random.default_rng(83), gate.start()
    for _ in range(blocks):
        b = traffic.batch(rng, 2, False)
        both = factors[:, None] * factors
        state = gate.observe(
            state, VectorBatch(b.rows, b.n_b, b.mean_b * factors, b.s_b * both, b.n_c, b.mean_c * factors, b.s_c * both)
        )
    return state


def test_units_do_not_matter() -> None:
    """Each coordinate in units of its own: the evidence is the same; one that never varies changes nothing."""
    gate, traffic = Joint(dimensions=3), Traffic(share=0.5, shift=(0.2,))
    plain = gate.harm(state_after(gate, traffic, np.ones(3)))
    np.testing.assert_allclose(gate.harm(state_after(gate, traffic, np.array([1e-6, 1.0, 1e6]))), plain, rtol=1e-6)
    assert np.isfinite(gate.harm(state_after(gate, traffic, np.array([1.0, 0.0, 1.0])))).all()


def test_one_dimension_is_the_two_sided_normal_mixture() -> None:
    """With one coordinate M is √(r / (v + r)) exp(s² / (2 (v + r))), by hand from one block after the learning."""
    rng, gate = np.random.default_rng(84), Joint(dimensions=1, learn=10)
    learned = Scatter.of(rng.normal(size=(21, 1)))
    b, c = rng.normal(size=(30, 1)), rng.normal(size=(20, 1)) + 1.0
    state = gate.observe(gate.start(), VectorBatch.of([(1, learned, Scatter.empty(1))]))
    state = gate.observe(state, VectorBatch.of([(1, Scatter.of(b), Scatter.of(c))]))
    pooled = float(np.concatenate([b, c]).mean())
    s = 12.0 * float(c.mean() - b.mean())
    v = 0.36 * float(((c - pooled) ** 2).sum()) + 0.16 * float(((b - pooled) ** 2).sum())
    r = 200.0 * float(learned.s[0, 0]) / 20.0
    expected = 0.5 * log(r / (v + r)) + 0.5 * s**2 / (v + r)
    np.testing.assert_allclose(gate.harm(state), [expected, expected], rtol=1e-6)


def test_bad_input_is_refused() -> None:
    """Parameters outside their domains and vectors of another length are errors, each with its message."""
    with pytest.raises(ValueError, match="dimensions must be >= 1"):
        Joint(dimensions=0)
    with pytest.raises(ValueError, match="tuned must be > 0"):
        Joint(dimensions=1, tuned=0.0)
    with pytest.raises(ValueError, match="learn must be >= 10"):
        Joint(dimensions=5, learn=49)
    one = Scatter.empty(2)
    with pytest.raises(ValueError, match="3 dimensions, found 2"):
        Joint(dimensions=3).observe(Joint(dimensions=3).start(), VectorBatch.of([(1, one, one)]))
    with pytest.raises(ValueError, match="one for each row"):
        VectorBatch(np.array([1]), np.ones(1), np.ones((1, 2)), np.ones((1, 2, 3)), *(np.ones(1),) * 3)
