"""Vectors of events, for services whose release has a joint gate: their scatter in each cell of a slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from detectors.coordinates import vectors_of
from schemas.basis import Basis
from streams.ingest.columns import Columns
from streams.ingest.owners import Owner


def fold_scatters(columns: Columns, group: Ints, owners: Sequence[Owner]) -> None:
    """Add the vectors of a batch to the cells of the services that have a basis.

    Parameters
    ----------
    columns : the events.
    group : the group of each event.
    owners : of each group.
    """
    groups_of: dict[Basis, list[int]] = {}
    for at, owner in enumerate(owners):
        basis = owner.sums.bases.get(owner.cell.key[0])
        if basis is not None:
            groups_of.setdefault(basis, []).append(at)
    for basis, chosen in groups_of.items():
        event, vectors = _vectors(columns, np.isin(group, chosen), basis)
        if event.size:
            _add(group[event], vectors, owners, basis.number)


def _vectors(columns: Columns, mine: Flags, basis: Basis) -> tuple[Ints, Floats]:
    """Events that carry every metric of a basis, ascending, and their vectors."""
    code_of = {name: (code, at == 0) for code, pair in enumerate(columns.metric_names) for at, name in enumerate(pair)}
    values = np.full((mine.size, len(basis.coordinates)), np.nan)
    for at, one in enumerate(basis.coordinates):
        code, of_requests = code_of.get(one.metric, (-1, True))
        for metric, value in columns.dense:
            if metric == code:
                values[:, at] = value
        entries = np.flatnonzero(columns.metric == code)
        values[columns.metric_event[entries], at] = columns.value[entries]
        values[columns.request != of_requests, at] = np.nan
    event = np.flatnonzero(mine & ~np.isnan(values).any(axis=1))
    return event, vectors_of(values[event], basis.coordinates)


def _add(group: Ints, vectors: Floats, owners: Sequence[Owner], number: int) -> None:
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
        owner = owners[int(ascending[starts[at]])]
        owner.sums.add_scatter(owner.cell, number, int(n[at]), (mean[at], upper[at]))
