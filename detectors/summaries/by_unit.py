"""ByUnit: what of a summary came with a unit, by bucket of units."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.arrays import Bins, Floats, Ints
from detectors.summaries.bucket_counts import BucketCounts, table
from detectors.summaries.moments import Moments
from schemas.report import Cell, LabelCell, MetricCell, UnitCell, UnitMetric, UnitPairs
from schemas.unit_hash import UNIT_BUCKETS

_ONE_GROUP: Bins = np.zeros(1, dtype=np.int32)
_FAILED: Bins = np.array([0, 1], dtype=np.int32)


class UnitMeasure(msgspec.Struct, frozen=True, eq=False):
    """Values of one metric by bucket of units. A commutative monoid up to rounding.

    Parameters
    ----------
    pairs : counts by bin of the metric's histogram and bucket; the bin is 0 throughout when it has none.
    sums : sum of the values in each bucket that occurs, buckets ascending.
    m2 : sum of squared deviations of all these values from their mean, >= 0.

    Raises
    ------
    ValueError : when a number is not finite, m2 negative, or there is not one sum for each bucket.

    >>> pairs = BucketCounts.of(np.array([0, 0, 5]), np.array([1, 1, 9]))
    >>> both = UnitMeasure(pairs, np.array([3.0, 4.0]), 2.0).merge(UnitMeasure.empty())
    >>> both.moments.mean, counts_and_sums([both])[1][0, [1, 9]].tolist()
    (2.3333333333333335, [3.0, 4.0])
    """

    pairs: BucketCounts
    sums: Floats
    m2: float

    def __post_init__(self) -> None:
        if self.sums.shape != self.pairs.buckets.shape:
            raise ValueError(f"UnitMeasure: found {self.sums.size} sums, must be {self.pairs.buckets.size}")
        if not (np.isfinite(self.sums).all() and 0.0 <= self.m2 < np.inf):
            raise ValueError(f"UnitMeasure: sums and m2 must be finite and m2 >= 0, found m2={self.m2}")

    @classmethod
    def empty(cls) -> UnitMeasure:
        """The identity: no values."""
        return cls(BucketCounts.empty(), np.zeros(0), 0.0)

    @property
    def moments(self) -> Moments:
        """Of all values that came with a unit."""
        n = self.pairs.n
        return Moments(n, float(self.sums.sum()) / n, self.m2) if n else Moments.empty()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnitMeasure):
            return NotImplemented
        return self.pairs == other.pairs and np.array_equal(self.sums, other.sums) and self.m2 == other.m2

    def __hash__(self) -> int:
        return hash((self.pairs, self.sums.tobytes(), self.m2))

    def merge(self, other: UnitMeasure) -> UnitMeasure:
        """The values of both."""
        return UnitMeasure.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[UnitMeasure]) -> UnitMeasure:
        """The values of all parts, added in the given order."""
        filled = [part for part in parts if part.pairs.codes.size]
        if not filled:
            return cls.empty()
        if len(filled) == 1:
            return filled[0]
        pairs = BucketCounts.merge_all([part.pairs for part in filled])
        sums = np.zeros(UNIT_BUCKETS)
        for part in filled:
            sums[part.pairs.buckets] += part.sums
        return cls(pairs, sums[pairs.buckets], Moments.merge_all(part.moments for part in filled).m2)


def counts_and_sums(measures: Sequence[UnitMeasure]) -> tuple[Floats, Floats]:
    """[m, K] how many values each measure has in each bucket, and their sums, of all measures at once."""
    counts = table([one.pairs for one in measures])
    sums: Floats = np.zeros(counts.shape)
    # Both list the buckets that occur in ascending order.
    sums[counts > 0] = np.concatenate([np.zeros(0), *(one.sums for one in measures)])
    return counts, sums


class ByUnit(msgspec.Struct, frozen=True):
    """Requests, values and labels that came with a unit, by bucket. A commutative monoid up to rounding.

    Parameters
    ----------
    requests : by group: 0 answered, 1 failed.
    metrics : metric name to its values.
    labels : label name to the counts of its values, each in group 0.

    >>> one = ByUnit(BucketCounts.of(np.array([0, 1]), np.array([7, 7])))
    >>> one.merge(ByUnit.empty()) == one, one.merge(one).requests.n
    (True, 4)
    """

    requests: BucketCounts = BucketCounts.empty()
    metrics: dict[str, UnitMeasure] = {}
    labels: dict[str, dict[str, BucketCounts]] = {}

    @classmethod
    def empty(cls) -> ByUnit:
        """The identity: nothing came with a unit."""
        return cls()

    @classmethod
    def of_cell(cls, cell: Cell) -> ByUnit | None:
        """From the wire; None when nothing came with a unit.

        Raises
        ------
        ValueError : when the bytes break an invariant, or do not fit the cell.
        """
        units = cell.units
        if units is None:
            return None
        if len(units.metrics) != len(cell.metrics) or len(units.labels) != len(cell.labels):
            raise ValueError(
                f"ByUnit: found {len(units.metrics)} metrics and {len(units.labels)} labels by unit, must be "
                f"{len(cell.metrics)} and {len(cell.labels)}"
            )
        most = np.array([cell.n - cell.errors, cell.errors])
        metrics = zip(cell.metrics, units.metrics, strict=True)
        labels = zip(cell.labels, units.labels, strict=True)
        return cls(
            BucketCounts.from_wire(units.requests, _FAILED, most),
            {whole.name: _measure(whole, part) for whole, part in metrics if part is not None},
            {whole.name: _values(whole, part) for whole, part in labels if part is not None},
        )

    def to_wire(self, cell: Cell) -> UnitCell:
        """Back to the wire, for the cell of the same events."""
        return UnitCell(
            self.requests.to_wire(_FAILED),
            [_metric(metric, self.metrics.get(metric.name)) for metric in cell.metrics],
            [_label(label, self.labels.get(label.name)) for label in cell.labels],
        )

    def merge(self, other: ByUnit) -> ByUnit:
        """What came with a unit in both."""
        return ByUnit.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Sequence[ByUnit]) -> ByUnit:
        """What came with a unit in all parts."""
        metrics: dict[str, list[UnitMeasure]] = {}
        labels: dict[str, dict[str, list[BucketCounts]]] = {}
        for part in parts:
            for name, measure in part.metrics.items():
                metrics.setdefault(name, []).append(measure)
            for name, values in part.labels.items():
                known = labels.setdefault(name, {})
                for value, counts in values.items():
                    known.setdefault(value, []).append(counts)
        return cls(
            BucketCounts.merge_all([part.requests for part in parts]),
            {name: UnitMeasure.merge_all(found) for name, found in sorted(metrics.items())},
            {
                name: {value: BucketCounts.merge_all(found) for value, found in sorted(values.items())}
                for name, values in sorted(labels.items())
            },
        )


def _groups(metric: MetricCell) -> tuple[Bins, Ints]:
    """The groups of a metric's pairs, and how many values each has."""
    if not metric.bins:
        return _ONE_GROUP, np.array([metric.n])
    return np.frombuffer(metric.bins, dtype="<i4"), np.frombuffer(metric.counts, dtype="<i8")


def _measure(metric: MetricCell, part: UnitMetric) -> UnitMeasure:
    if len(part.sums) % 8:
        raise ValueError(f"UnitMeasure: sums are float64, found {len(part.sums)} bytes")
    pairs = BucketCounts.from_wire(part.pairs, *_groups(metric))
    return UnitMeasure(pairs, np.frombuffer(part.sums, dtype="<f8"), max(part.m2, 0.0))


def _metric(metric: MetricCell, part: UnitMeasure | None) -> UnitMetric | None:
    if part is None:
        return None
    return UnitMetric(part.pairs.to_wire(_groups(metric)[0]), part.sums.astype("<f8").tobytes(), part.m2)


def _values(label: LabelCell, part: UnitPairs) -> dict[str, BucketCounts]:
    places = np.arange(len(label.counts), dtype=np.int32)
    together = BucketCounts.from_wire(part, places, np.array(list(label.counts.values()), dtype=np.int64))
    edges = np.searchsorted(together.codes, np.arange(places.size + 1) * UNIT_BUCKETS).tolist()
    found = zip(label.counts, edges, edges[1:], strict=False)
    return {
        value: BucketCounts(together.codes[start:end] % UNIT_BUCKETS, together.counts[start:end])
        for value, start, end in found
        if end > start
    }


def _label(label: LabelCell, part: dict[str, BucketCounts] | None) -> UnitPairs | None:
    if part is None:
        return None
    found = [part.get(value, BucketCounts.empty()) for value in label.counts]
    shifted = [counts.codes + place * UNIT_BUCKETS for place, counts in enumerate(found)]
    together = BucketCounts(np.concatenate(shifted), np.concatenate([counts.counts for counts in found]))
    return together.to_wire(np.arange(len(found), dtype=np.int32))
