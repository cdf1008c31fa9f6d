"""Decoded JSON events become columns: what is the same for both decoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from schemas.report import PANE_MS
from streams.ingest.columns import CellName, Codes, Columns, metric_names
from streams.ingest.unit_columns import units_of

FAR_MS: Final = 1 << 61
"""No time of an event is as far from 1970, and differences of such times still fit."""

Signature = tuple[str, str, str, str, bool]
_Kind = tuple[str, str, str, bool]
"""Service, version and segment of events, and whether they are feedback."""

Numbers = tuple[list[tuple[int, Floats]], Ints, Ints, Floats]
"""``dense``, ``metric_event``, ``metric`` and ``value`` of :class:`streams.ingest.columns.Columns`."""

_signature: Callable[[Any], Signature] = attrgetter("service", "version", "segment", "kind", "error")


class EventSplit(ABC):
    """Splits decoded events into columns; how an event holds its numbers and labels is the decoder's business."""

    def __init__(self) -> None:
        self._signatures: Codes[Signature] = Codes()

    def _split(self, events: list[Any], rows: Ints) -> tuple[Columns, Ints]:
        """The columns, and the time of each event (Unix ms)."""
        ts_ms = _times(events)
        signature = self._signature_codes(events)
        kinds, kind_of, request_of, error_of = _split_signatures(self._signatures)
        dense, metric_event, metric, value = self._numbers(events)
        label_event, label = self._categories(events)
        metrics, labels = self._names()
        pane = ts_ms // PANE_MS
        first = int(pane.min()) if pane.size else 0
        panes = int(pane.max()) - first + 1 if pane.size else 1

        def name_of(code: int) -> CellName:
            kind, after = divmod(code, panes)
            service, version, segment, feedback = kinds[kind]
            return service, version, segment, first + after, feedback

        columns = Columns(
            row=rows,
            cell=kind_of[signature] * panes + (pane - first),
            cells=max(1, len(kinds)) * panes,
            name_of=name_of,
            request=request_of[signature],
            error=error_of[signature],
            dense=dense,
            metric_event=metric_event,
            metric=metric,
            value=value,
            metric_names=metric_names(metrics),
            label_event=label_event,
            label=label,
            label_names=list(labels),
            units=units_of(events),
        )
        return columns, ts_ms

    def _signature_codes(self, events: list[Any]) -> Ints:
        # One at a time: a list of so many tuples is more than the caches and the garbage collector take lightly.
        codes = map(self._signatures.__getitem__, map(_signature, events))
        return np.fromiter(codes, np.int64, len(events))

    @abstractmethod
    def _numbers(self, events: list[Any]) -> Numbers:
        """Latencies and values as one list, so one grouping serves all."""

    @abstractmethod
    def _categories(self, events: list[Any]) -> tuple[Ints | None, Ints]:
        """``label_event`` and ``label``."""

    @abstractmethod
    def _names(self) -> tuple[Iterable[str], Iterable[tuple[str, str]]]:
        """What the codes of metrics and of labels stand for; called after both were given."""


def _split_signatures(known: Iterable[Signature]) -> tuple[list[_Kind], Ints, Flags, Flags]:
    """The distinct kinds among signatures; and of each signature its kind, and whether it is a request, an error."""
    kinds: Codes[_Kind] = Codes()
    known = list(known)
    request_of = np.array([kind == "request" for *_, kind, _ in known], dtype=bool)
    error_of = np.array([error for *_, error in known], dtype=bool)
    kind_of = kinds.of([(service, version, segment, kind != "request") for service, version, segment, kind, _ in known])
    return list(kinds), kind_of, request_of, error_of & request_of


def decoded(decode: Callable[[Any], Any], raw: Iterable[bytes | None]) -> tuple[list[Any], list[int]]:
    """Decode records in one sweep of C code; only a bad one comes back to Python.

    Returns
    -------
    What was decoded, and the indexes of the records that the decoder refused.
    """
    events: list[Any] = []
    bad: list[int] = []
    pending = iter(raw)
    while True:
        try:
            # extend() keeps what it has when an item raises, and the iterator goes on behind that item.
            events.extend(map(decode, pending))
        except Exception:  # whatever a decoder raises on foreign bytes is the record's fault, never ours
            bad.append(len(events) + len(bad))
        else:
            return events, bad


def _times(events: list[Any]) -> Ints:
    try:
        return np.fromiter(map(attrgetter("ts_ms"), events), np.int64, len(events))
    except OverflowError:
        # Such a time is refused anyway; clamped, it stays far outside the allowed range.
        return np.array([max(-FAR_MS, min(FAR_MS, event.ts_ms)) for event in events], dtype=np.int64)
