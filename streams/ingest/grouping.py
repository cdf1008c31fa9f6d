"""Columns become cells: one grouping of a whole batch, whatever slices, services and metrics are in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Ints
from streams.ingest.columns import FEEDBACK, Columns
from streams.ingest.number_grouping import fold_numbers
from streams.ingest.owners import Owner, ranks
from streams.ingest.runs import Runs, distinct, runs_of
from streams.ingest.scatter import fold_scatters
from streams.ingest.sums import SliceSums
from streams.ingest.unit_grouping import UnitEntries


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
    key = columns.cell
    if len(slices) > 1:
        key = stretch_of_row[columns.row] * columns.cells + key
    size = len(slices) * columns.cells
    groups = runs_of(key, size)
    owners = _owners(columns, key, groups, slices)
    units = None if columns.units is None else UnitEntries(columns.units, stretch_of_row[columns.row], slices)
    group = None
    if units is not None or any(sums.bases for sums in slices):
        group = groups.inverse()
    if units is not None and group is not None:
        units.requests(columns.request, columns.error, group, [owner.cell for owner in owners])
    fold_numbers(columns, key, size, groups, owners, units)
    _fold_labels(columns, key, size, groups, owners, units)
    if group is not None:
        fold_scatters(columns, group, owners)


def _owners(columns: Columns, key: Ints, groups: Runs, slices: Sequence[SliceSums]) -> list[Owner]:
    """The cell of each group, its events counted."""
    errors, errors_of = np.zeros(len(groups), dtype=np.int64), np.flatnonzero(columns.error)
    if errors_of.size:
        errors = np.bincount(np.searchsorted(groups.keys, key[errors_of]), minlength=len(groups))
    failed = errors.tolist()
    found: dict[int, Owner] = {}
    first, n, keys = groups.first, groups.n.tolist(), groups.keys.tolist()
    for at in np.argsort(first).tolist():  # names are admitted in log order
        stretch, code = divmod(keys[at], columns.cells)
        service, version, segment, pane, feedback = columns.name_of(code)
        cell = slices[stretch].cell_of(service, version, segment, pane, n[at])
        if not feedback:
            cell.n += n[at]
            cell.errors += failed[at]
        found[at] = Owner(slices[stretch], stretch, cell, feedback)
    return [found[at] for at in range(len(groups))]


def _fold_labels(
    columns: Columns, key: Ints, size: int, groups: Runs, owners: Sequence[Owner], units: UnitEntries | None
) -> None:
    event, code = columns.label_event, columns.label
    if code.size == 0:
        return
    labels = len(columns.label_names)
    found = distinct((key if event is None else key[event]) * np.int64(labels) + code, size * labels)
    counts = np.bincount(found.inverse).tolist()
    key_of, name_of = np.divmod(found.keys, labels)
    owner_of = np.searchsorted(groups.keys, key_of).tolist()
    rank = ranks(name_of, columns.label_names)
    kept = np.zeros((len(found), 2), dtype=np.int64)
    first = found.first if event is None else event[found.first]
    for at in np.lexsort((rank, first)).tolist():
        owner = owners[owner_of[at]]
        name, value = columns.label_names[name_of[at]]
        name, value = owner.sums.add_label(owner.cell, FEEDBACK * owner.feedback + name, value, counts[at])
        if units is not None:
            kept[at] = owner.cell.labels_at[name], list(owner.cell.labels[name]).index(value)
    if units is not None:
        target, place = kept[found.inverse].T
        units.count(np.arange(columns.row.size) if event is None else event, target, place)
