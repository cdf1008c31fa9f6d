"""Columns of events, and the decoder that judges JSON records: the only one that says what is refused.

Names turn into small codes, numbers into arrays. Grouping works on the columns alone, so another record format
needs another way into :class:`Columns` and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from schemas.event import (
    NAME_LENGTH_MAX,
    RECORD_BYTES_MAX,
    TS_AHEAD_MAX_MS,
    TS_BEHIND_MAX_MS,
    InferenceEvent,
    decode_event,
)
from schemas.report import PANE_MS
from streams.ingest.dead_letters import MAGNITUDE_MAX, Refused, refuse
from streams.ingest.records import Records
from streams.ingest.unit_columns import UnitColumns, units_of

LATENCY: Final = "latency_ms"
VALUES: Final = "values."
FEEDBACK: Final = "feedback."
_NAMES_KEPT_MAX: Final = 16_384
FAR_MS: Final = 1 << 61
"""No time of an event is as far from 1970, and differences of such times still fit."""

Name = TypeVar("Name")
Signature = tuple[str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Columns:
    """Decoded events, column by column. Codes index the lists of names beside them.

    Parameters
    ----------
    row : row of each event among its :class:`Records`, ascending.
    series, series_names : code of (service, version, segment).
    pane : ``ts_ms // PANE_MS``.
    request, error : whether the event counts into ``n``, and into ``errors``.
    metric_event, metric, value : one entry per number: index of its event, code of its name, the number. Entries of
        one name are in the order of their events; of entries of one event the order says nothing.
    label_event, label : one entry per label: index of its event, code of (name, value); in such an order too.
    units : None when no event carries a unit.
    """

    row: Ints
    series: Ints
    series_names: list[tuple[str, str, str]]
    pane: Ints
    request: Flags
    error: Flags
    metric_event: Ints
    metric: Ints
    value: Floats
    metric_names: list[str]
    label_event: Ints
    label: Ints
    label_names: list[tuple[str, str]]
    units: UnitColumns | None


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


def split_signatures(known: Iterable[Signature]) -> tuple[list[tuple[str, str, str]], Ints, Flags, Flags]:
    """The distinct series among signatures; and of each signature its series, and whether it is a request, an error."""
    series_names: Codes[tuple[str, str, str]] = Codes()
    known = list(known)
    series_of = series_names.of([name[:3] for name in known])
    request_of = np.array([name[3] == "request" for name in known], dtype=bool)
    error_of = np.array([name[4] for name in known], dtype=bool)
    return list(series_names), series_of, request_of, error_of


def metric_names(metrics: Iterable[str]) -> list[str]:
    """What the metric codes of a batch mean: two for each metric, of requests and of feedback; latency comes first."""
    return [LATENCY, FEEDBACK + LATENCY, *(prefix + name for name in metrics for prefix in (VALUES, FEEDBACK))]


def label_names(labels: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the label codes of a batch mean: two for each label and value, of requests and of feedback."""
    return [(prefix + name, value) for name, value in labels for prefix in ("", FEEDBACK)]


_signature: Callable[[Any], Signature] = attrgetter("service", "version", "segment", "kind", "error")


class EventSplit(ABC):
    """Splits decoded events into columns; how an event holds its numbers and labels is the decoder's business."""

    def __init__(self) -> None:
        self._signatures: Codes[Signature] = Codes()

    def _split(self, events: list[Any], rows: Ints) -> tuple[Columns, Ints]:
        """The columns, and the time of each event (Unix ms)."""
        ts_ms = _times(events)
        signature = self._signature_codes(events)
        series_names, series_of, request_of, error_of = split_signatures(self._signatures)
        request = request_of[signature]
        metric_event, metric, value = self._numbers(events, request)
        label_event, label = self._categories(events, request)
        metrics, labels = self._names()
        columns = Columns(
            row=rows,
            series=series_of[signature],
            series_names=series_names,
            pane=ts_ms // PANE_MS,
            request=request,
            error=error_of[signature] & request,
            metric_event=metric_event,
            metric=metric,
            value=value,
            metric_names=metric_names(metrics),
            label_event=label_event,
            label=label,
            label_names=label_names(labels),
            units=units_of(events),
        )
        return columns, ts_ms

    def _signature_codes(self, events: list[Any]) -> Ints:
        return self._signatures.of(list(map(_signature, events)))

    @abstractmethod
    def _numbers(self, events: list[Any], request: Flags) -> tuple[Ints, Ints, Floats]:
        """``metric_event``, ``metric`` and ``value``: latencies and values as one list, so one grouping serves all."""

    @abstractmethod
    def _categories(self, events: list[Any], request: Flags) -> tuple[Ints, Ints]:
        """``label_event`` and ``label``."""

    @abstractmethod
    def _names(self) -> tuple[Iterable[str], Iterable[tuple[str, str]]]:
        """What the codes of metrics and of labels stand for; called after both were given."""


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


class ColumnBuilder(EventSplit):
    """Turns records into columns and sets the bad ones aside. Keeps the codes of names from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self._forget = False
        self._metrics: Codes[str] = Codes()
        self._labels: Codes[tuple[str, str]] = Codes()

    def build(self, records: Records) -> tuple[Columns, list[Refused]]:
        """Decode, check and split into columns.

        Returns
        -------
        The columns of the good records, and the refused ones by ascending row.
        """
        self._forget_when_many()
        rows, events, refused = _decode(records)
        columns, ts_ms = self._split(events, rows)
        suspects = self._suspects(events, columns, ts_ms - records.log_ms[rows])
        if suspects.size:
            found = _judge(rows[suspects], records)
            if found:
                self._forget = True
                refused += found
                bad = {one.row for one in found}
                keep = [index for index, row in enumerate(rows.tolist()) if row not in bad]
                rows = rows[keep]
                columns, _ = self._split([events[index] for index in keep], rows)
        refused.sort(key=lambda one: one.row)
        return columns, refused

    def _forget_when_many(self) -> None:
        """Codes mean nothing beyond their batch, so a flood of names, or very long ones, may be dropped between two."""
        for codes in (self._signatures, self._metrics, self._labels):
            if self._forget or len(codes) > _NAMES_KEPT_MAX:
                codes.clear()
        self._forget = False

    def _numbers(self, events: list[InferenceEvent], request: Flags) -> tuple[Ints, Ints, Floats]:
        latency_ms = np.array([event.latency_ms for event in events], dtype=np.float64)
        timed = np.flatnonzero(~np.isnan(latency_ms))
        maps = [event.values for event in events]
        holders, event_of = _holders(maps)
        codes = self._metrics
        named = np.fromiter(map(codes.__getitem__, chain.from_iterable(holders)), np.int64, event_of.size)
        numbers = np.fromiter(chain.from_iterable(map(dict.values, holders)), np.float64, event_of.size)
        at = np.concatenate((timed, event_of))
        metric = 2 * np.concatenate((np.zeros(timed.size, dtype=np.int64), named + 1)) + ~request[at]
        return at, metric, np.concatenate((latency_ms[timed], numbers))

    def _categories(self, events: list[InferenceEvent], request: Flags) -> tuple[Ints, Ints]:
        holders, event_of = _holders([event.labels for event in events])
        pairs = chain.from_iterable(map(dict.items, holders))
        codes = np.fromiter(map(self._labels.__getitem__, pairs), np.int64, event_of.size)
        return event_of, 2 * codes + ~request[event_of]

    def _names(self) -> tuple[Iterable[str], Iterable[tuple[str, str]]]:
        return self._metrics, self._labels

    def _suspects(self, events: list[InferenceEvent], columns: Columns, ahead_ms: Ints) -> Ints:
        """Indexes of the events that may be faulty: at least all that are. Checked in bulk, names once each."""
        bad = np.zeros(len(events), dtype=bool)
        bad_signature = np.array([_bad_signature(name) for name in self._signatures], dtype=bool)
        if bad_signature.any():
            bad |= bad_signature[self._signature_codes(events)]
        bad |= (ahead_ms > TS_AHEAD_MAX_MS) | (ahead_ms < -TS_BEHIND_MAX_MS)
        bad_metric = np.array([False, *(_bad_name(name) for name in self._metrics)], dtype=bool)
        odd = ~(np.abs(columns.value) <= MAGNITUDE_MAX) | bad_metric[columns.metric // 2]
        odd |= (columns.metric < 2) & (columns.value < 0)
        bad[columns.metric_event[odd]] = True
        bad_label = np.array(
            [_bad_name(name) or len(value) > NAME_LENGTH_MAX for name, value in self._labels], dtype=bool
        )
        if bad_label.any():
            bad[columns.label_event[bad_label[columns.label // 2]]] = True
        return np.flatnonzero(bad)


def _decode(records: Records) -> tuple[Ints, list[InferenceEvent], list[Refused]]:
    """Decode, and refuse what is too long or cannot be decoded."""
    raw = records.raw
    too_long = np.flatnonzero(np.fromiter(map(_size, raw), np.int64, len(raw)) > RECORD_BYTES_MAX)
    refused = _judge(too_long, records)
    skipped = {one.row for one in refused}
    rows = np.array(
        [row for row in range(len(raw)) if row not in skipped] if skipped else range(len(raw)), dtype=np.int64
    )
    events, bad = decoded(_decode_one, raw if not skipped else [raw[row] for row in rows.tolist()])
    refused += _judge(rows[bad], records)
    return np.delete(rows, bad), events, refused


_decode_one = cast("Callable[[bytes | None], InferenceEvent]", decode_event)
"""A tombstone raises TypeError and is then judged like every other bad record."""


def _times(events: list[Any]) -> Ints:
    try:
        return np.fromiter(map(attrgetter("ts_ms"), events), np.int64, len(events))
    except OverflowError:
        # Such a time is refused anyway; clamped, it stays far outside the allowed range.
        return np.array([max(-FAR_MS, min(FAR_MS, event.ts_ms)) for event in events], dtype=np.int64)


def _bad_name(name: str) -> bool:
    return not name or len(name) > NAME_LENGTH_MAX


def _bad_signature(name: Signature) -> bool:
    return _bad_name(name[0]) or _bad_name(name[1]) or len(name[2]) > NAME_LENGTH_MAX


def _size(raw: bytes | None) -> int:
    return 0 if raw is None else len(raw)


def _judge(rows: Ints, records: Records) -> list[Refused]:
    judged = (refuse(row, records.raw[row], int(records.log_ms[row])) for row in rows.tolist())
    return [one for one in judged if one is not None]


def _holders(maps: list[dict[str, Name] | None]) -> tuple[list[dict[str, Name]], Ints]:
    """The maps that are there, and for each of their items the index of the event that it came with."""
    holders = [one for one in maps if one]
    index = np.array([index for index, one in enumerate(maps) if one], dtype=np.int64)
    return holders, np.repeat(index, np.fromiter(map(len, holders), np.int64, len(holders)))
