"""Columns of events: names turned into small codes, numbers into arrays.

Grouping works on the columns alone, so another record format needs another way into :class:`Columns` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from streams.ingest.unit_columns import UnitColumns

LATENCY: Final = "latency_ms"
LATENCY_CODE: Final = 0
VALUES: Final = "values."
FEEDBACK: Final = "feedback."

Name = TypeVar("Name")

CellName = tuple[str, str, str, int, bool]
"""Service, version, segment and pane of events, and whether they are feedback."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Decoded events, column by column. Codes index the lists of names beside them.

    Parameters
    ----------
    row : row of each event among its :class:`Records`, ascending.
    cell, cells, name_of : code of the cell of each event, below ``cells``, and what it means; asked for codes in use
        alone. Two codes may mean the same.
    request, error : whether the event counts into ``n``, and into ``errors``.
    dense : metrics that every event has: the code of each, and one number per event.
    metric_event, metric, value : all other numbers, one entry each: index of its event, code of its metric, the number.
        Entries of one metric are in the order of their events; of entries of one event the order says nothing.
    metric_names : what a metric is called for requests, and for feedback.
    label_event, label : one entry per label: index of its event, code of (name, value); in such an order too. Without
        ``label_event`` each event has one.
    units : None when no event carries a unit.
    """

    row: Ints
    cell: Ints
    cells: int
    name_of: Callable[[int], CellName]
    request: Flags
    error: Flags
    dense: Sequence[tuple[int, Floats]]
    metric_event: Ints
    metric: Ints
    value: Floats
    metric_names: list[tuple[str, str]]
    label_event: Ints | None
    label: Ints
    label_names: list[tuple[str, str]]
    units: UnitColumns | None

    def numbers(self) -> tuple[Ints, Ints, Floats]:
        """``metric_event``, ``metric`` and ``value`` of all numbers, those of dense metrics too."""
        events = np.arange(self.row.size)
        return (
            np.concatenate([self.metric_event, *(events for _ in self.dense)]),
            np.concatenate([self.metric, *(np.full(events.size, code) for code, _ in self.dense)]),
            np.concatenate([self.value, *(value for _, value in self.dense)]),
        )

    def labelled(self) -> Ints:
        """``label_event``, written out."""
        return np.arange(self.row.size) if self.label_event is None else self.label_event


class Codes(dict[Name, int], Generic[Name]):
    """A code per distinct name, given when the name is first asked for."""

    def __missing__(self, name: Name) -> int:
        code = self[name] = len(self)
        return code

    def give(self, name: Name) -> None:
        """Give a code to a name that has none."""
        self[name] = len(self)

    def of(self, names: Sequence[Name]) -> Ints:
        return np.fromiter(map(self.__getitem__, names), np.int64, len(names))


def metric_names(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """What the metric codes of a batch mean; latency comes first."""
    return [(LATENCY, FEEDBACK + LATENCY), *((VALUES + name, FEEDBACK + name) for name in metrics)]


def no_entries() -> tuple[Ints, Ints]:
    """The events and the codes of no entries."""
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
