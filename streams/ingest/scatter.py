"""Vectors of events, for services whose release has a joint gate: their scatter in each cell of a slice."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.coordinates import vectors_of
from schemas.basis import Basis
from streams.ingest.columns import Columns
from streams.ingest.sums import CellSums, SliceSums

Owners = dict[int, tuple[SliceSums, CellSums]]


def fold_scatters(columns: Columns, group: Ints, owners: Owners) -> None:
    """Add the vectors of a batch to the cells of the services that have a basis.

    Parameters
    ----------
    columns : the events.
    group : the group of each event.
    owners : group to its slice and cell.
    """
    groups_of: dict[Basis, list[int]] = {}
    for at, (sums, cell) in owners.items():
        basis = sums.bases.get(cell.key[0])
        if basis is not None:
            groups_of.setdefault(basis, []).append(at)
    for basis, chosen in groups_of.items():
        event, vectors = _vectors(columns, np.isin(group, chosen), basis)
        if event.size:
            _add(group[event], vectors, owners, basis.number)


def _vectors(columns: Columns, mine: Flags, basis: Basis) -> tuple[Ints, Floats]:
    """Events that carry every metric of a basis, ascending, and their vectors."""
    code_of = {name: code for code, name in enumerate(columns.metric_names)}
    codes = [code_of.get(one.metric) for one in basis.coordinates]
    values = np.full((mine.size, len(codes)), np.nan)
    for at, code in enumerate(codes):
        entries = np.flatnonzero(columns.metric == (-1 if code is None else code))
        values[columns.metric_event[entries], at] = columns.value[entries]
    event = np.flatnonzero(mine & ~np.isnan(values).any(axis=1))
    return event, vectors_of(values[event], basis.coordinates)


def _add(group: Ints, vectors: Floats, owners: Owners, number: int) -> None:
    order = np.argsort(group, kind="stable")
    ascending = group[order]
    starts = np.flatnonzero(np.diff(ascending, prepend=-1))
    n = np.diff(np.append(starts, ascending.size))
    mean = np.add.reduceat(vectors[order], starts) / n[:, None]
    centred = vectors[order] - np.repeat(mean, n, axis=0)
    row, column = np.triu_indices(vectors.shape[1])
    upper = np.add.reduceat(centred[:, row] * centred[:, column], starts)
    # Cells take their place in the order of the log, as everything that has a bound.
    for at in np.argsort(order[starts]).tolist():
        sums, cell = owners[int(ascending[starts[at]])]
        sums.add_scatter(cell, number, int(n[at]), (mean[at], upper[at]))
