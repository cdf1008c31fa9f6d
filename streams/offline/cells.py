"""Drawn requests, dealt to versions, as the cells that ingest would report: one list for each step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.coordinates import vectors_of
from detectors.panes import pane_of
from detectors.summaries.log_histogram import bin_of
from schemas.basis import Basis
from schemas.metric import DELAY
from schemas.report import Cell, LabelCell, MetricCell, ScatterCell
from streams.offline.arrivals import STEP_MS
from streams.offline.drawing import Drawn
from streams.offline.unit_cells import UnitCells, Units

_NO_BINS = b""
NEVER_MS = 1e10
"""Longer delays, four months, are cut to this: no scenario lasts as long."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the codes of drawn requests stand for.

    Parameters
    ----------
    versions : the baseline first.
    labels : metric (``labels.…``) to its values.
    quantiles : metrics that need a histogram; the others have moments only, which is most of what a cell costs.
    start_ms : Unix ms, when the scenario starts.
    basis : of a joint gate that has learned one.
    """

    service: str
    versions: Sequence[str]
    segments: Sequence[str]
    labels: dict[str, Sequence[str]]
    quantiles: Collection[str]
    start_ms: int
    basis: Basis | None = None

    def cell(self, key: int, *, n: int, errors: int, step: int | None = None) -> Cell:
        """An empty cell of a group."""
        rest, version = divmod(key, len(self.versions))
        at, segment = divmod(rest, len(self.segments))
        pane = pane_of(self.start_ms + (at if step is None else step) * STEP_MS)
        return Cell(self.service, self.versions[version], self.segments[segment], pane, n, errors, [], [])


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has to report, and the feedback on its requests that comes in later steps, as (step, cell)."""

    cells: list[Cell]
    later: list[tuple[int, Cell]]
    requests: list[int]
    """Answered requests by version."""


class _Groups:
    """Requests by step, segment and version."""

    def __init__(self, key: Ints) -> None:
        self.order = np.argsort(key, kind="stable")
        ascending = key[self.order]
        self.starts = np.flatnonzero(np.diff(ascending, prepend=-1))
        self.keys: list[int] = ascending[self.starts].tolist()
        self.n = np.diff(np.append(self.starts, key.size))
        self.group = np.repeat(np.arange(self.starts.size), self.n)

    def of_each(self) -> Ints:
        """The group of each request, in the order in which they were given."""
        group = np.empty_like(self.group)
        group[self.order] = self.group
        return group

    def sums(self, values: Floats) -> Floats:
        total: Floats = np.add.reduceat(values[self.order], self.starts)
        return total

    def metric(self, name: str, values: Floats, *, histogram: bool) -> list[MetricCell]:
        """The cell of a metric of every group."""
        ordered = values[self.order]
        mean = np.add.reduceat(ordered, self.starts) / self.n
        m2 = np.add.reduceat((ordered - mean[self.group]) ** 2, self.starts)
        low, high = np.minimum.reduceat(ordered, self.starts), np.maximum.reduceat(ordered, self.starts)
        columns = (self.n.tolist(), mean.tolist(), m2.tolist(), low.tolist(), high.tolist())
        bins = self._bins(ordered) if histogram else [(_NO_BINS, _NO_BINS)] * len(self.keys)
        return [MetricCell(name, *row, *found) for *row, found in zip(*columns, bins, strict=True)]

    def scatters(self, vectors: Floats, basis: int) -> list[ScatterCell]:
        """The vectors of every group."""
        ordered = vectors[self.order]
        mean = np.add.reduceat(ordered, self.starts) / self.n[:, None]
        centred = ordered - mean[self.group]
        row, column = np.triu_indices(vectors.shape[1])
        upper = np.add.reduceat(centred[:, row] * centred[:, column], self.starts)
        rows = zip(self.n.tolist(), mean.astype("<f8"), upper.astype("<f8"), strict=True)
        return [ScatterCell(basis, n, ours.tobytes(), squares.tobytes()) for n, ours, squares in rows]

    def _bins(self, ordered: Floats) -> list[tuple[bytes, bytes]]:
        index = bin_of(ordered).astype(np.int64)
        lowest, span = int(index.min()), int(index.max() - index.min()) + 1
        found, counts = np.unique(self.group * span + (index - lowest), return_counts=True)
        edges = np.searchsorted(found, np.arange(len(self.keys) + 1) * span).tolist()
        bins = (found % span + lowest).astype("<i4")
        numbers = counts.astype("<i8")
        return [(bins[a:b].tobytes(), numbers[a:b].tobytes()) for a, b in pairwise(edges)]


def steps_of(
    drawn: Drawn, version: Ints, naming: Naming, *, from_step: int, to_step: int, units: Units | None = None
) -> list[Step]:
    """What is reported of the steps ``[from_step, to_step)`` when each request goes to a version.

    Parameters
    ----------
    version : index of the version that each request of the chunk is dealt to.
    units : when the requests come from users.
    """
    first, last = np.searchsorted(drawn.step, [from_step, to_step])
    steps = [Step([], [], [0] * len(naming.versions)) for _ in range(from_step, to_step)]
    canary = version[first:last] > 0
    answered = np.where(canary, drawn.answered[1][first:last], drawn.answered[0][first:last])
    chosen = first + np.flatnonzero(answered)
    if chosen.size == 0:
        return steps
    key = (drawn.step * len(naming.segments) + drawn.segment) * len(naming.versions) + version
    theirs = version[chosen] > 0

    def side(pair: tuple[Floats, Floats]) -> Floats:
        ours: Floats = pair[0][chosen]
        return ours if pair[0] is pair[1] else np.where(theirs, pair[1][chosen], ours)

    groups = _Groups(key[chosen])
    failed = np.where(theirs, drawn.error[1][chosen], drawn.error[0][chosen])
    errors = groups.sums(failed.astype(np.float64))
    pairs = zip(groups.keys, groups.n.tolist(), errors.astype(np.int64).tolist(), strict=True)
    cells = [naming.cell(group, n=n, errors=bad) for group, n, bad in pairs]
    by_unit = None if units is None else UnitCells(units, chosen, groups.of_each(), cells)
    if by_unit is not None:
        by_unit.add_requests(failed)
    for name, pair in drawn.numbers.items():
        values = side(pair)
        metrics = groups.metric(name, values, histogram=name in naming.quantiles)
        for cell, metric in zip(cells, metrics, strict=True):
            cell.metrics.append(metric)
        if by_unit is not None:
            by_unit.add_metric(values, histogram=name in naming.quantiles)
    if naming.basis is not None and all(one.metric in drawn.numbers for one in naming.basis.coordinates):
        together = np.stack([side(drawn.numbers[one.metric]) for one in naming.basis.coordinates], axis=1)
        scatters = groups.scatters(vectors_of(together, naming.basis.coordinates), naming.basis.number)
        for cell, scatter in zip(cells, scatters, strict=True):
            cell.scatter = scatter
    for name, both in drawn.labels.items():
        codes = np.where(theirs, both[1][chosen], both[0][chosen])
        _add_labels(cells, groups, name, codes, naming)
        if by_unit is not None:
            by_unit.add_label(codes, len(naming.labels[name]))
    if by_unit is not None:
        by_unit.fill()
        by_unit.sample(drawn.step[chosen])
    for group, cell in zip(groups.keys, cells, strict=True):
        step = steps[group // (len(naming.segments) * len(naming.versions)) - from_step]
        step.cells.append(cell)
        step.requests[group % len(naming.versions)] += cell.n
    _add_ratings(steps, drawn, (key, version), naming, from_step=from_step, units=units)
    return steps


def _add_labels(cells: list[Cell], groups: _Groups, name: str, codes: Ints, naming: Naming) -> None:
    values = naming.labels[name]
    counts = np.bincount(groups.group * len(values) + codes[groups.order], minlength=len(cells) * len(values))
    for cell, row in zip(cells, counts.reshape(-1, len(values)).tolist(), strict=True):
        kept = {value: count for value, count in zip(values, row, strict=True) if count}
        cell.labels.append(LabelCell(name.removeprefix("labels."), kept))


def _add_ratings(
    steps: list[Step],
    drawn: Drawn,
    dealt: tuple[Ints, Ints],
    naming: Naming,
    *,
    from_step: int,
    units: Units | None,
) -> None:
    """Feedback counts to the version that served the request, arrives later, and says how much later."""
    key, version = dealt
    for name, rated in drawn.ratings.items():
        at = drawn.step[rated.request]
        inside = (at >= from_step) & (at < from_step + len(steps))
        inside &= np.where(
            version[rated.request] > 0, drawn.answered[1][rated.request], drawn.answered[0][rated.request]
        )
        request = rated.request[inside]
        if request.size == 0:
            continue
        values, delay_ms = (
            np.where(version[request] > 0, pair[1][inside], pair[0][inside]) for pair in (rated.values, rated.delay_ms)
        )
        delay_ms = np.minimum(delay_ms, NEVER_MS)
        later = np.rint(delay_ms / STEP_MS).astype(np.int64)
        size = int(key[request].max()) + 1
        groups = _Groups(later * size + key[request])
        metrics = groups.metric(name, values, histogram=name in naming.quantiles)
        delays = groups.metric(DELAY, delay_ms, histogram=True)
        cells: list[Cell] = []
        for group, metric, delay in zip(groups.keys, metrics, delays, strict=True):
            step = group % size // (len(naming.segments) * len(naming.versions))
            due = step + group // size
            cell = naming.cell(group % size, n=0, errors=0, step=due)
            cell.metrics += [metric, delay]
            cells.append(cell)
            steps[step - from_step].later.append((due, cell))
        if units is not None:
            by_unit = UnitCells(units, request, groups.of_each(), cells)
            by_unit.add_metric(values, histogram=name in naming.quantiles)
            by_unit.add_metric(delay_ms, histogram=True)
            by_unit.fill()
