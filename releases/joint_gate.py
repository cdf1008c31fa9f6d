"""The gate on all metrics together: what is usual of them is learned of the baseline, then differences are followed.

It shows a difference and no harm, so it has no margin. What it cannot do is exclude anything: it stands in nobody's way
once it has seen enough of both versions, and until then it says that it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from detectors.arrays import Floats
from detectors.blocks import Block
from detectors.coordinates import dimensions_of, learned, pairs_of, value_at
from detectors.sequential.effect import Estimate
from detectors.sequential.joint import Joint, JointState
from detectors.sequential.past import grown
from detectors.summaries.log_histogram import LogHistogram
from detectors.summaries.scatter import Scatter
from detectors.summaries.summary import Summary
from detectors.vector_batches import VectorBatch
from schemas.basis import Coordinate
from schemas.metric import Metric

LEARN_VALUES = 100
"""Values of the baseline, of each metric, from which scales, means and standard deviations are taken."""

LEARN_VECTORS = 100
"""Vectors of the baseline from which their covariance is taken; ten for each coordinate if that is more."""

ENOUGH = 100
"""Requests of each version that are compared before the gate lets anything pass: with as many it finds three shifts of
a fifth of a standard deviation half of the time."""

TUNED = 120.0
"""The information at which the gate is sharpest."""


class Learned(msgspec.Struct, frozen=True):
    """The basis, as far as the judge knows it: its number and the metrics' coordinates."""

    number: int
    coordinates: tuple[Coordinate, ...]


class Compared(msgspec.Struct, frozen=True, eq=False):
    """For people: sums over blocks by row.

    Parameters
    ----------
    n_b, n_c, w : [R] vectors of each version, and the information Σ n_c n_b / n.
    sum_b : [R, k] sums of the baseline's coordinates.
    around_b, around_c : [R, k, k] co-moments of each version around the baseline's mean in its block.
    """

    n_b: Floats
    n_c: Floats
    w: Floats
    sum_b: Floats
    around_b: Floats
    around_c: Floats


class JointKnown(msgspec.Struct, frozen=True, eq=False, weakref=True, tag="joint"):
    """What the joint gate knows of one canary.

    Parameters
    ----------
    values : metric → the baseline's values, until the basis is learned.
    canary_values : metric → how many of the canary there were until then.
    learned : the basis, once it is known.
    vectors : [2] vectors of baseline and canary, in the basis, since it is known.
    recent : [2] those that were compared since the last step.
    """

    values: dict[str, LogHistogram]
    canary_values: dict[str, int]
    learned: Learned | None
    joint: JointState
    compared: Compared
    vectors: Floats
    recent: Floats


class Difference(msgspec.Struct, frozen=True):
    """What differs most: one metric's level, or how two go together.

    Parameters
    ----------
    metrics : one or two names.
    baseline, canary : values of the metric, typical ones on a log scale; of two, their correlation.
    effect : difference in standard deviations of the baseline, or of correlations.
    """

    metrics: tuple[str, ...]
    baseline: float
    canary: float
    effect: float


class JointGate:
    """Several metrics together, by the normal-mixture T² on differences within blocks."""

    detector, detector_version = Joint.NAME, Joint.VERSION

    def __init__(self, baseline: str, metric: Metric) -> None:
        self.baseline, self.metrics = baseline, metric.of
        d = dimensions_of(len(self.metrics))
        self._joint = Joint(dimensions=d, tuned=TUNED, learn=max(LEARN_VECTORS, 10 * d))

    def start(self) -> JointKnown:
        k = len(self.metrics)
        square = np.zeros((1, k, k))
        compared = Compared(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((1, k)), square, square)
        nothing = {name: LogHistogram.empty() for name in self.metrics}
        counts = dict.fromkeys(self.metrics, 0)
        return JointKnown(nothing, counts, None, self._joint.start(), compared, np.zeros(2), np.zeros(2))

    def begin_step(self, known: object) -> JointKnown:
        return msgspec.structs.replace(_joint(known), recent=np.zeros(2))

    def observe(self, known: object, blocks: Sequence[Block], canary: str) -> JointKnown:
        before = _joint(known)
        if before.learned is None:
            return self._learn(before, blocks, canary)
        number = before.learned.number
        empty = Scatter.empty(self._joint.dimensions)
        entries = [
            (block.row, _scatter(block.arms, self.baseline, number, empty), _scatter(block.arms, canary, number, empty))
            for block in blocks
        ]
        if not entries:
            return before
        batch = VectorBatch.of(entries)
        vectors = before.vectors + np.array([batch.n_b.sum(), batch.n_c.sum()])
        joint = self._joint.observe(before.joint, batch)
        if self._learning(before):
            return msgspec.structs.replace(before, joint=joint, vectors=vectors)
        compared = _compared(before.compared, batch, len(self.metrics))
        pair = batch.paired
        recent = before.recent + np.array([batch.n_b[pair].sum(), batch.n_c[pair].sum()])
        return msgspec.structs.replace(before, joint=joint, vectors=vectors, compared=compared, recent=recent)

    def evidence(self, known: object) -> float:
        return self._joint.evidence(_joint(known).joint)

    def harm(self, known: object) -> list[float]:
        return [float(value) for value in self._joint.harm(_joint(known).joint)]

    def excluded(self, known: object, share_ppm: int, *, recent: bool) -> float:
        """Nothing is ever excluded: infinite when enough was compared, else 0, whatever the share."""
        known = _joint(known)
        total = np.array([known.compared.n_b[0], known.compared.n_c[0]])
        return math.inf if bool(((known.recent if recent else total) >= ENOUGH).all()) else 0.0

    def compared(self, known: object) -> bool:
        known = _joint(known)
        return bool(known.compared.w[0] > 0) or min(self.heard(known)) > 0

    def estimate(self, known: object, row: int) -> Estimate:
        known = _joint(known)
        if row >= known.compared.w.size or known.compared.w[row] <= 0:
            return Estimate(*self.heard(known), None, None, None, None, None)
        counts = (round(float(known.compared.n_b[row])), round(float(known.compared.n_c[row])))
        found = self.difference(known, row)
        return Estimate(*counts, found.baseline, found.canary, found.effect, None, None)

    def detail(self, known: object, row: int) -> None:
        return None

    def heard(self, known: JointKnown) -> tuple[int, int]:
        """Requests of baseline and canary to learn from; until there is a basis, those of the scarcest metric."""
        if known.learned is not None:
            return int(known.vectors[0]), int(known.vectors[1])
        return min(one.n for one in known.values.values()), min(known.canary_values.values())

    def still_to_learn(self, known: JointKnown) -> tuple[int, int] | None:
        """How many of how many requests of the baseline are learned from; None when all are."""
        if known.learned is None:
            return min(self.heard(known)[0], LEARN_VALUES), LEARN_VALUES + self._joint.learn
        if self._learning(known):
            return LEARN_VALUES + int(known.joint.learned_n[0]), LEARN_VALUES + self._joint.learn
        return None

    def difference(self, known: JointKnown, row: int) -> Difference:
        """What differs most in a row with vectors of both versions: by the largest difference in standard errors."""
        compared = known.compared
        spread = np.sqrt(np.diagonal(known.joint.v[row]))
        far = np.abs(known.joint.s[row]) / np.where(spread > 0, spread, np.inf)
        most, k = int(np.argmax(far)), len(self.metrics)
        if most >= k:
            a, b = pairs_of(k)[most - k]
            theirs, ours = (_correlation(around[row], a, b) for around in (compared.around_b, compared.around_c))
            return Difference((self.metrics[a], self.metrics[b]), theirs, ours, ours - theirs)
        coordinate = known.learned.coordinates[most] if known.learned is not None else None
        assert coordinate is not None
        shift = float(known.joint.s[row, most] / compared.w[row])
        at = float(compared.sum_b[row, most] / compared.n_b[row])
        theirs, ours = value_at(coordinate, at), value_at(coordinate, at + shift)
        return Difference((self.metrics[most],), theirs, ours, shift)

    def _learning(self, known: JointKnown) -> bool:
        return bool(known.joint.learned_n[0] < self._joint.learn)

    def _learn(self, known: JointKnown, blocks: Sequence[Block], canary: str) -> JointKnown:
        """The baseline's values; when there are enough of each metric, the basis."""
        arms = [block.arms[self.baseline] for block in blocks if self.baseline in block.arms]
        counts = {
            name: known.canary_values[name] + sum(_count(block.arms.get(canary), name) for block in blocks)
            for name in self.metrics
        }
        values = {
            name: LogHistogram.merge_all(
                [known.values[name], *(arm.metrics[name].histogram for arm in arms if name in arm.metrics)]
            )
            for name in self.metrics
        }
        if min(one.n for one in values.values()) < LEARN_VALUES:
            return msgspec.structs.replace(known, values=values, canary_values=counts)
        basis = Learned(max(block.ended_ms for block in blocks), learned(values, self.metrics))
        return msgspec.structs.replace(known, values={}, canary_values={}, learned=basis)


def _joint(known: object) -> JointKnown:
    assert isinstance(known, JointKnown)
    return known


def _count(arm: Summary | None, name: str) -> int:
    return arm.metrics[name].moments.n if arm is not None and name in arm.metrics else 0


def _scatter(arms: Mapping[str, Summary], version: str, number: int, empty: Scatter) -> Scatter:
    """An arm's vectors in the basis in force; of another one they say nothing here."""
    found = arms[version].scatters.get(number, empty) if version in arms else empty
    return found if found.mean.size == empty.mean.size else empty


def _compared(before: Compared, batch: VectorBatch, k: int) -> Compared:
    pair = batch.paired
    n_b, n_c, rows = batch.n_b[pair], batch.n_c[pair], batch.rows[pair]
    gap = (batch.mean_c - batch.mean_b)[pair, :k]
    around_c = batch.s_c[pair, :k, :k] + n_c[:, None, None] * gap[:, :, None] * gap[:, None, :]
    sum_b, around_b = n_b[:, None] * batch.mean_b[pair, :k], batch.s_b[pair, :k, :k]
    additions = (n_b, n_c, n_b * n_c / np.maximum(n_b + n_c, 1.0), sum_b, around_b, around_c)
    olds = (before.n_b, before.n_c, before.w, before.sum_b, before.around_b, before.around_c)
    sums = []
    for old, new in zip(olds, additions, strict=True):
        total = grown(old, int(batch.rows.max()) + 1, 0.0).copy()
        total[rows] += new
        total[0] += new.sum(axis=0)
        sums.append(total)
    return Compared(*sums)


def _correlation(around: Floats, a: int, b: int) -> float:
    scale = math.sqrt(float(around[a, a] * around[b, b]))
    return float(around[a, b]) / scale if scale > 0 else 0.0
