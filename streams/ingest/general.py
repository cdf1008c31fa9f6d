"""The decoder that judges JSON records: the only one that says what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final, cast

import numpy as np

from detectors.arrays import Ints
from schemas.event import (
    NAME_LENGTH_MAX,
    RECORD_BYTES_MAX,
    TS_AHEAD_MAX_MS,
    TS_BEHIND_MAX_MS,
    InferenceEvent,
    decode_event,
)
from streams.ingest.columns import LATENCY_CODE, Codes, Columns, Name
from streams.ingest.dead_letters import MAGNITUDE_MAX, Refused, refuse
from streams.ingest.event_split import EventSplit, Numbers, Signature, decoded
from streams.ingest.records import Records

_NAMES_KEPT_MAX: Final = 16_384


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

    def _numbers(self, events: list[InferenceEvent]) -> Numbers:
        latency_ms = np.array([event.latency_ms for event in events], dtype=np.float64)
        timed = np.flatnonzero(~np.isnan(latency_ms))
        maps = [event.values for event in events]
        holders, event_of = _holders(maps)
        codes = self._metrics
        named = np.fromiter(map(codes.__getitem__, chain.from_iterable(holders)), np.int64, event_of.size)
        numbers = np.fromiter(chain.from_iterable(map(dict.values, holders)), np.float64, event_of.size)
        metric = np.concatenate((np.zeros(timed.size, dtype=np.int64), named + 1))
        return [], np.concatenate((timed, event_of)), metric, np.concatenate((latency_ms[timed], numbers))

    def _categories(self, events: list[InferenceEvent]) -> tuple[Ints, Ints]:
        holders, event_of = _holders([event.labels for event in events])
        pairs = chain.from_iterable(map(dict.items, holders))
        return event_of, np.fromiter(map(self._labels.__getitem__, pairs), np.int64, event_of.size)

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
        odd = ~(np.abs(columns.value) <= MAGNITUDE_MAX) | bad_metric[columns.metric]
        odd |= (columns.metric == LATENCY_CODE) & (columns.value < 0)
        bad[columns.metric_event[odd]] = True
        bad_label = np.array(
            [_bad_name(name) or len(value) > NAME_LENGTH_MAX for name, value in self._labels], dtype=bool
        )
        if bad_label.any():
            bad[columns.labelled()[bad_label[columns.label]]] = True
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
