"""JSON records straight to columns, by a decoder made for the names seen so far.

The general decoder makes a string for each name and a dictionary for each map of each event; those cost as much as the
parsing. Traffic repeats its names, so a second msgspec type is made of them: a name is a ``Literal``, which decodes
to the one string that stands for it, and a map is a struct with a field for each key. That type takes a part of what
the event's type takes, by the same parser and with the same values. Whatever does not fit goes to the general decoder,
which alone says what is refused and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np

from detectors.arrays import Flags, Ints
from schemas.event import TS_AHEAD_MAX_MS, TS_BEHIND_MAX_MS
from streams.ingest.columns import LATENCY_CODE, VALUES, Columns, no_entries
from streams.ingest.dead_letters import MAGNITUDE_MAX
from streams.ingest.event_split import FAR_MS, EventSplit, Numbers, decoded
from streams.ingest.runs import counted

NAMES_MAX: Final = 512
"""Most services, versions, segments, and labels with a value; each on its own."""

FIELDS_MAX: Final = 32
"""Most metrics, and most labels. A struct holds all of them for each event, so more would cost more than they save."""

_NOT_IN_FIELDS = frozenset('"\\') | frozenset(map(chr, range(32)))
_Field = tuple[str, Any, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a schema knows."""

    services: frozenset[str] = frozenset()
    versions: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, columns: Columns, *, least: int) -> Names:
        """The names that occur at least so often in columns of events, and that a struct may have."""
        events: Counter[tuple[str, str, str]] = Counter()
        for code, count in zip(*(one.tolist() for one in counted(columns.cell, columns.cells)), strict=True):
            events[columns.name_of(code)[:3]] += count
        series = [names for names, count in events.items() if count >= least]
        _, metric, _ = columns.numbers()
        metrics = [columns.metric_names[code][0] for code in _frequent(metric, len(columns.metric_names), least)]
        labels = [columns.label_names[code] for code in _frequent(columns.label, len(columns.label_names), least)]
        return cls(
            frozenset(service for service, _, _ in series),
            frozenset(version for _, version, _ in series),
            frozenset(segment for _, _, segment in series),
            frozenset(name.removeprefix(VALUES) for name in metrics if name.startswith(VALUES) and _may_be_field(name)),
            frozenset((name, value) for name, value in labels if _may_be_field(name)),
        )

    def __or__(self, other: Names) -> Names:
        return Names(
            self.services | other.services,
            self.versions | other.versions,
            self.segments | other.segments,
            self.metrics | other.metrics,
            self.labels | other.labels,
        )

    def fit(self) -> bool:
        """Whether there are any, and not too many for a schema."""
        sets = (self.services, self.versions, self.segments, self.labels)
        keys = (self.metrics, {name for name, _ in self.labels})
        few = all(len(one) <= NAMES_MAX for one in sets) and all(len(one) <= FIELDS_MAX for one in keys)
        return few and bool(self.services)


class Schema(EventSplit):
    """Decodes events that hold no other names than these."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self.names = names
        self._metrics = sorted(names.metrics)
        self._labels = sorted(names.labels)
        keys = sorted({name for name, _ in self._labels})
        values = _struct("Values", [(name, float, nan) for name in self._metrics])
        labels = _struct("Labels", [(key, _label_type(self._labels, key), msgspec.UNSET) for key in keys])
        self._no_values, self._no_labels = values(), labels()
        self._decode = msgspec.json.Decoder(_event_type(names, values, labels)).decode
        self._label_codes = [
            {msgspec.UNSET: -1} | {value: code for code, (name, value) in enumerate(self._labels) if name == key}
            for key in keys
        ]

    def columns(self, raw: Sequence[bytes | None], log_ms: Ints) -> tuple[Columns, list[int]]:
        """Decode what fits.

        Parameters
        ----------
        raw, log_ms : the records, one for one.

        Returns
        -------
        The columns of the events that fit and are without fault, and the rows of all other records, in no order.
        """
        # The general decoder finds what does not fit again and says what it means.
        events, odd = decoded(self._decode, raw)
        rows = np.delete(np.arange(len(raw)), odd) if odd else np.arange(len(raw))
        columns, ts_ms = self._split(events, rows)
        good = _good(columns, ts_ms - log_ms[rows])
        if not good.all():
            odd += rows[~good].tolist()
            columns, _ = self._split([events[index] for index in np.flatnonzero(good).tolist()], rows[good])
        return columns, odd

    def _numbers(self, events: list[Any]) -> Numbers:
        maps = _held(events, "values", self._no_values) if self._metrics else []
        numbers = [np.array(list(map(_latency_ms, events)), dtype=np.float64)]
        numbers += [
            np.fromiter(map(attrgetter(f"f{at}"), maps), np.float64, len(maps)) for at in range(len(self._metrics))
        ]
        # No JSON number is NaN, so NaN is what is not there.
        missing = [np.isnan(one) for one in numbers]
        dense = [(code, one) for code, one in enumerate(numbers) if not missing[code].any()]
        sparse = [code for code in range(len(numbers)) if missing[code].any()]
        if not sparse:
            return dense, *no_entries(), np.zeros(0)
        at_events = [np.flatnonzero(~missing[code]) for code in sparse]
        metric = np.repeat(sparse, [one.size for one in at_events])
        value = np.concatenate([numbers[code][at] for code, at in zip(sparse, at_events, strict=True)])
        return dense, np.concatenate(at_events), metric, value

    def _categories(self, events: list[Any]) -> tuple[Ints | None, Ints]:
        if not self._label_codes:
            return no_entries()
        maps = _held(events, "labels", self._no_labels)
        found = [
            np.fromiter(map(codes.__getitem__, map(attrgetter(f"f{at}"), maps)), np.int64, len(maps))
            for at, codes in enumerate(self._label_codes)
        ]
        if len(found) == 1 and found[0].size and found[0].min() >= 0:
            return None, found[0]
        at_events = [np.flatnonzero(one >= 0) for one in found]
        return np.concatenate(at_events), np.concatenate([a[b] for a, b in zip(found, at_events, strict=True)])

    def _names(self) -> tuple[Iterable[str], Iterable[tuple[str, str]]]:
        return self._metrics, self._labels


_latency_ms = attrgetter("latency_ms")


def _held(events: list[Any], field: str, nothing: Any) -> list[Any]:
    """What a field of each event holds, or nothing."""
    found = list(map(attrgetter(field), events))
    return [one or nothing for one in found] if None in found else found


def _good(columns: Columns, ahead_ms: Ints) -> Flags:
    """Which events are without fault for certain; names are, since they were learned from such events."""
    good = (ahead_ms <= TS_AHEAD_MAX_MS) & (ahead_ms >= -TS_BEHIND_MAX_MS)
    odd = np.abs(columns.value) > MAGNITUDE_MAX
    odd |= (columns.metric == LATENCY_CODE) & (columns.value < 0)
    good[columns.metric_event[odd]] = False
    for code, value in columns.dense:
        good &= np.abs(value) <= MAGNITUDE_MAX
        if code == LATENCY_CODE:
            good &= value >= 0
    return good


def _frequent(codes: Ints, size: int, least: int) -> Iterable[int]:
    keys, counts = counted(codes, size)
    return [key for key, count in zip(keys.tolist(), counts.tolist(), strict=True) if count >= least]


def _may_be_field(name: str) -> bool:
    return _NOT_IN_FIELDS.isdisjoint(name)


def _struct(name: str, found: Sequence[_Field]) -> type[msgspec.Struct]:
    """A type with a field for each key; another key does not fit."""
    numbered = [(f"f{at}", kind, default) for at, (_, kind, default) in enumerate(found)]
    keys = {f"f{at}": key for at, (key, _, _) in enumerate(found)}
    return msgspec.defstruct(name, numbered, rename=keys, forbid_unknown_fields=True, gc=False)


def _label_type(labels: Sequence[tuple[str, str]], key: str) -> Any:
    return Literal[tuple(value for name, value in labels if name == key)] | msgspec.UnsetType


def _event_type(names: Names, values: type[msgspec.Struct], labels: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """:class:`schemas.event.InferenceEvent`, with narrower types."""
    return msgspec.defstruct(
        "LearnedEvent",
        [
            ("service", Literal[tuple(sorted(names.services))]),
            ("version", Literal[tuple(sorted(names.versions))]),
            ("ts_ms", Annotated[int, msgspec.Meta(ge=-FAR_MS, le=FAR_MS)]),
            ("kind", Literal["request", "feedback"], "request"),
            ("error", bool, False),
            ("latency_ms", float | None, nan),
            ("values", values | None, None),
            ("labels", labels | None, None),
            ("segment", Literal[tuple(sorted(names.segments | {""}))], ""),
            ("unit", str | None, None),
            ("epoch", int | None, None),
            ("bucket", int | None, None),
        ],
        gc=False,
    )
