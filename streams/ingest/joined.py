"""Columns that were decoded in different ways, as one: their events in the order of the log again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Ints
from streams.ingest.columns import CellName, Codes, Columns, Name
from streams.ingest.unit_columns import join_units


def join(parts: Sequence[Columns]) -> Columns:
    """One set of columns with the events of all parts by ascending row; events of one row keep their order.

    Parameters
    ----------
    parts : at least one.
    """
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([one.row for one in parts]), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    starts = np.cumsum([0, *(one.row.size for one in parts)])[:-1].tolist()
    first_cells = np.cumsum([0, *(one.cells for one in parts)])
    metrics = [one.numbers() for one in parts]
    metric_names, metric = _recoded([one.metric_names for one in parts], [codes for _, codes, _ in metrics])
    label_names, label = _recoded([one.label_names for one in parts], [one.label for one in parts])
    metric_event = place[np.concatenate([event + at for (event, _, _), at in zip(metrics, starts, strict=True)])]
    label_event = place[np.concatenate([one.labelled() + at for one, at in zip(parts, starts, strict=True)])]
    numbers = np.argsort(metric_event, kind="stable")
    labels = np.argsort(label_event, kind="stable")

    def name_of(code: int) -> CellName:
        part = int(np.searchsorted(first_cells, code, side="right")) - 1
        return parts[part].name_of(code - int(first_cells[part]))

    return Columns(
        row=np.concatenate([one.row for one in parts])[order],
        cell=np.concatenate([one.cell + at for one, at in zip(parts, first_cells.tolist(), strict=False)])[order],
        cells=int(first_cells[-1]),
        name_of=name_of,
        request=np.concatenate([one.request for one in parts])[order],
        error=np.concatenate([one.error for one in parts])[order],
        dense=(),
        metric_event=metric_event[numbers],
        metric=metric[numbers],
        value=np.concatenate([value for _, _, value in metrics])[numbers],
        metric_names=metric_names,
        label_event=label_event[labels],
        label=label[labels],
        label_names=label_names,
        units=join_units([one.units for one in parts], starts, order),
    )


def _recoded(names: Sequence[list[Name]], codes: Sequence[Ints]) -> tuple[list[Name], Ints]:
    """The distinct names of all parts, and the codes of all entries among them."""
    known: Codes[Name] = Codes()
    tables = [known.of(one) for one in names]
    return list(known), np.concatenate([table[code] for table, code in zip(tables, codes, strict=True)])
