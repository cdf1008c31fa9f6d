"""What is summed up of each arm of many releases: where it stands in one long row of numbers, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from detectors.arrays import Bins, Floats, Ints
from detectors.summaries.log_histogram import bin_of
from schemas.plan import Plan
from schemas.unit_hash import UNIT_BUCKETS
from streams.offline.distributions import Z_MAX
from streams.offline.drawing import World

N, BAD, FIRST_MEAN = 0, 1, 2
"""Columns of an arm: requests, errors, then for each mean the sums of x - c and of (x - c)²; all others follow."""

SPAN_TIMES = 16.0
"""A histogram has room for values so many times as far from zero as the baseline's, and so many times as near."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of an arm's sums [..., width].

    Parameters
    ----------
    centres : metric whose moments are needed → the c of its sums.
    by_unit : whether requests, errors and the values of those metrics are also summed up by bucket of units.
    labels : label → its values.
    spans : metric whose histogram is needed → the bins that it may have.
    feedback : kind of feedback → the c of its sums. It has a count of its own, since it comes on some requests only.
    """

    centres: dict[str, float]
    by_unit: bool = False
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    spans: Mapping[str, range] = field(default_factory=dict)
    feedback: Mapping[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Numeric metrics that are read."""
        return tuple(dict.fromkeys((*self.centres, *self.spans)))

    @property
    def nested(self) -> bool:
        """Whether so little is read that it can be summed up for every share of a ramp at once."""
        return not (self.by_unit or self.labels or self.spans or self.feedback)

    @property
    def first_by_unit(self) -> int:
        return FIRST_MEAN + 2 * len(self.centres)

    @property
    def first_label(self) -> int:
        return self.first_by_unit + (UNIT_BUCKETS * (2 + len(self.centres)) if self.by_unit else 0)

    @property
    def first_bin(self) -> int:
        return self.first_label + sum(len(values) for values in self.labels.values())

    @property
    def first_feedback(self) -> int:
        return self.first_bin + sum(len(span) for span in self.spans.values())

    @property
    def width(self) -> int:
        return self.first_feedback + 3 * len(self.feedback)

    @property
    def arrivals(self) -> tuple[int, ...]:
        """The columns that count what is reported: requests, and each kind of feedback."""
        return N, *range(self.first_feedback, self.width, 3)

    def moments(self, sums: Floats, metric: str) -> tuple[Floats, Floats, Floats]:
        """n, mean and m2 of one metric."""
        if metric in self.feedback:
            count = self.first_feedback + 3 * list(self.feedback).index(metric)
            first, centre = count + 1, self.feedback[metric]
        else:
            count, first, centre = N, FIRST_MEAN + 2 * list(self.centres).index(metric), self.centres[metric]
        n = sums[..., count]
        shift = sums[..., first] / np.maximum(n, 1.0)
        m2 = np.maximum(sums[..., first + 1] - n * shift**2, 0.0)
        return n, np.where(n > 0, centre + shift, 0.0), m2

    def of_units(self, sums: Floats, metric: str | None) -> tuple[Floats, Floats]:
        """[..., K] requests in each bucket of units, and the sum of a metric's values; None: how many failed."""
        part = 1 if metric is None else 2 + list(self.centres).index(metric)
        counts, values = (
            sums[..., first : first + UNIT_BUCKETS]
            for first in (self.first_by_unit, self.first_by_unit + part * UNIT_BUCKETS)
        )
        return counts, values

    def of_label(self, sums: Floats, label: str) -> dict[str, int]:
        """How often one arm gave each value of a label."""
        first = self.first_label
        for name, values in self.labels.items():
            if name == label:
                counts = sums[first : first + len(values)].astype(np.int64).tolist()
                return {value: count for value, count in zip(values, counts, strict=True) if count}
            first += len(values)
        raise KeyError(label)

    def of_bins(self, sums: Floats, metric: str) -> tuple[Bins, Ints]:
        """The bins of one arm's histogram, ascending, and how many values each has."""
        first = self.first_bin
        for name, span in self.spans.items():
            if name == metric:
                counts = sums[first : first + len(span)]
                there = np.flatnonzero(counts)
                return (there + span.start).astype(np.int32), counts[there].astype(np.int64)
            first += len(span)
        raise KeyError(metric)


def columns_of(world: World, plan: Plan, *, by_unit: bool) -> Columns:
    """What the gates of a plan read."""
    means = sorted({gate.name for gate in plan.gates if gate.kind == "mean" and not gate.delayed})
    feedback = sorted({gate.name for gate in plan.gates if gate.delayed})
    levels = sorted({gate.name for gate in plan.gates if gate.level is not None})
    labels = sorted({gate.name for gate in plan.gates if gate.kind == "mix"})
    return Columns(
        {name: world.quantities[name].mean for name in means},
        by_unit=by_unit,
        labels={name: list(world.labels[name]) for name in labels},
        spans={name: _span(world, name) for name in levels},
        feedback={name: world.feedback[name].mean for name in feedback},
    )


def _span(world: World, metric: str) -> range:
    """Bins of all that the baseline may have, and of much more."""
    edges = world.quantities[metric].of_normal(np.array([-Z_MAX, Z_MAX]))
    bins = bin_of(np.outer(edges, [1.0 / SPAN_TIMES, 1.0, SPAN_TIMES]))
    return range(int(bins.min()), int(bins.max()) + 1)
