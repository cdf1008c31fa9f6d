"""Columns become cells: one grouping of a whole batch, whatever slices, services and metrics are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.summaries.log_histogram import bin_of
from streams.ingest.columns import Columns
from streams.ingest.scatter import fold_scatters
from streams.ingest.sums import CellSums, MetricSums, SliceSums
from streams.ingest.unit_grouping import UnitEntries

_DENSE_MIN = 1 << 15
DENSE_PER_ENTRY = 4


@dataclass(frozen=True, slots=True)
class Distinct:
    """Distinct keys, ascending; the index of the first entry of each; and for each entry the position of its key."""

    keys: Ints
    first: Ints
    inverse: Ints

    def __len__(self) -> int:
        return self.keys.size


def distinct(key: Ints, size: int) -> Distinct:
    """Group a column of keys within 0..size-1.

    A small range is counted in a table, in linear time; a large one is sorted.
    """
    if size > max(_DENSE_MIN, DENSE_PER_ENTRY * key.size):
        keys, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return Distinct(keys, first, inverse)
    table = np.full(size, -1, dtype=np.int64)
    # Of several writes to one place the last one stands, so writing backwards leaves the first.
    table[key[::-1]] = np.arange(key.size - 1, -1, -1, dtype=np.int64)
    keys = np.flatnonzero(table >= 0)
    first = table[keys]
    table[keys] = np.arange(keys.size, dtype=np.int64)
    return Distinct(keys, first, table[key])


def counted(key: Ints, size: int) -> tuple[Ints, Ints]:
    """The distinct keys of a column within 0..size-1, ascending, and how often each occurs."""
    if size > max(_DENSE_MIN, DENSE_PER_ENTRY * key.size):
        keys, counts = np.unique(key, return_counts=True)
        return keys, counts
    table = np.bincount(key, minlength=1)
    keys = np.flatnonzero(table)
    return keys, table[keys]


def fold(columns: Columns, stretch_of_row: Ints, slices: Sequence[SliceSums]) -> None:
    """Add a batch of events to the slices that they belong to.

    Parameters
    ----------
    columns : the events.
    stretch_of_row : for each record of the batch, the index of its slice in ``slices``.
    slices : the open sums of each stretch of the batch that lies in one slice.
    """
    if columns.row.size == 0:
        return
    stretch = stretch_of_row[columns.row]
    pane = columns.pane - columns.pane.min()
    panes = int(pane.max()) + 1
    series = len(columns.series_names)
    groups = distinct((stretch * series + columns.series) * panes + pane, len(slices) * series * panes)
    n = np.bincount(groups.inverse[columns.request], minlength=len(groups)).tolist()
    errors = np.bincount(groups.inverse[columns.error], minlength=len(groups)).tolist()
    events = np.bincount(groups.inverse).tolist()
    owners: dict[int, tuple[SliceSums, CellSums]] = {}
    for at in np.argsort(groups.first).tolist():  # names are admitted in log order
        event = groups.first[at]
        sums = slices[stretch[event]]
        names = columns.series_names[columns.series[event]]
        cell = sums.cell_of(*names, int(columns.pane[event]), events[at])
        cell.n += n[at]
        cell.errors += errors[at]
        owners[at] = (sums, cell)
    units = None if columns.units is None else UnitEntries(columns.units, stretch, slices)
    if units is not None:
        cells = [owners[at][1] for at in range(len(groups))]
        units.requests(columns.request, columns.error, groups.inverse, cells)
    _fold_metrics(columns, groups.inverse, owners, units)
    _fold_labels(columns, groups.inverse, owners, units)
    if any(sums.bases for sums in slices):
        fold_scatters(columns, groups.inverse, owners)


@dataclass(frozen=True, slots=True)
class _First:
    """What puts entries into the order of the log: the event of each entry, and the rank of the name of each group."""

    event: Ints
    rank: Ints


def _ranks(codes: Ints, names: Sequence[str] | Sequence[tuple[str, str]]) -> Ints:
    """The place of each code's name among the names in use, in their order as text.

    What one event brings is admitted in this order: a format in columns does not know how a record was written.
    """
    used = sorted(set(codes.tolist()), key=lambda code: (names[code], code))
    place = {code: at for at, code in enumerate(used)}
    return np.fromiter(map(place.__getitem__, codes.tolist()), np.int64, codes.size)


def _fold_metrics(
    columns: Columns, group: Ints, owners: dict[int, tuple[SliceSums, CellSums]], units: UnitEntries | None
) -> None:
    if columns.value.size == 0:
        return
    metrics = len(columns.metric_names)
    found = distinct(group[columns.metric_event] * metrics + columns.metric, len(owners) * metrics)
    value = columns.value
    n = np.bincount(found.inverse)
    # Around the first value of each group: a large common level does not eat the digits of the spread.
    level = value[found.first]
    offset = value - level[found.inverse]
    shift = np.bincount(found.inverse, weights=offset) / n
    centred = offset - shift[found.inverse]
    m2 = np.bincount(found.inverse, weights=centred * centred)
    low = level.copy()
    high = level.copy()
    np.minimum.at(low, found.inverse, value)
    np.maximum.at(high, found.inverse, value)
    moments = list(zip(n.tolist(), (level + shift).tolist(), m2.tolist(), low.tolist(), high.tolist(), strict=True))
    owner_of, name_of = np.divmod(found.keys, metrics)
    first_event = columns.metric_event[found.first]
    rank = _ranks(name_of, columns.metric_names)
    targets: dict[int, tuple[SliceSums, str, MetricSums]] = {}
    for at in np.lexsort((rank, first_event)).tolist():
        sums, cell = owners[int(owner_of[at])]
        target = sums.metric_of(cell, columns.metric_names[name_of[at]], moments[at][0])
        target.merge(*moments[at])
        targets[at] = (sums, cell.key[0], target)
    ordered = [targets[at] for at in range(len(found))]
    kept = _fold_bins(found.inverse, value, _First(columns.metric_event, rank), ordered)
    if units is not None:
        for (_, _, target), theirs in zip(
            ordered, units.moments(columns.metric_event, found.inverse, offset, level), strict=True
        ):
            target.units = target.units.merge(theirs)
        number = np.array([target.at for _, _, target in ordered], dtype=np.int64)[found.inverse]
        units.count(columns.metric_event, number, kept)
        units.add_values(columns.metric_event, number, value)


def _fold_bins(group: Ints, value: Floats, first: _First, targets: list[tuple[SliceSums, str, MetricSums]]) -> Ints:
    """Count values by bin; returns the bin that counts each value."""
    index = bin_of(value).astype(np.int64)
    lowest = int(index.min())
    span = int(index.max()) - lowest + 1
    key = group * span + (index - lowest)
    keys, times = counted(key, len(targets) * span)
    if all(keys.size <= sums.bins_left for sums, _, _ in targets):
        edges = np.searchsorted(keys, np.arange(len(targets) + 1) * span).tolist()
        bins, counts = (keys % span + lowest).tolist(), times.tolist()
        for (sums, service, target), start, end in zip(targets, edges, edges[1:], strict=False):
            sums.add_bins(service, target, zip(bins[start:end], counts[start:end], strict=True))
        return index
    return _fold_scarce_bins(distinct(key, len(targets) * span), span, lowest, first, targets)


def _fold_scarce_bins(
    found: Distinct, span: int, lowest: int, first: _First, targets: list[tuple[SliceSums, str, MetricSums]]
) -> Ints:
    """The same in the order of the log, since a slice runs out of bins."""
    target_of, bin_above = np.divmod(found.keys, span)
    bins = (bin_above + lowest).tolist()
    counts = np.bincount(found.inverse).tolist()
    for at in np.lexsort((first.rank[target_of], first.event[found.first])).tolist():
        sums, service, target = targets[target_of[at]]
        sums.add_bins(service, target, ((bins[at], counts[at]),))
    kept = [targets[of][2].kept(index) for of, index in zip(target_of.tolist(), bins, strict=True)]
    return np.array(kept, dtype=np.int64)[found.inverse]


def _fold_labels(
    columns: Columns, group: Ints, owners: dict[int, tuple[SliceSums, CellSums]], units: UnitEntries | None
) -> None:
    if columns.label.size == 0:
        return
    labels = len(columns.label_names)
    found = distinct(group[columns.label_event] * labels + columns.label, len(owners) * labels)
    counts = np.bincount(found.inverse).tolist()
    owner_of, name_of = np.divmod(found.keys, labels)
    rank = _ranks(name_of, columns.label_names)
    kept = np.zeros((len(found), 2), dtype=np.int64)
    for at in np.lexsort((rank, columns.label_event[found.first])).tolist():
        sums, cell = owners[int(owner_of[at])]
        name, value = columns.label_names[name_of[at]]
        name, value = sums.add_label(cell, name, value, counts[at])
        if units is not None:
            kept[at] = cell.labels_at[name], list(cell.labels[name]).index(value)
    if units is not None:
        target, place = kept[found.inverse].T
        units.count(columns.label_event, target, place)
