"""Packed records become columns, all records of a batch at once: no event is ever looked at in Python.

What each pack says of itself is read one by one; its columns are put behind those of the others, and their numbers are
checked for the whole batch. A pack in which something is wrong is left out whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from detectors.arrays import Flags, Floats, Ints
from schemas.event import TS_AHEAD_MAX_MS, TS_BEHIND_MAX_MS
from schemas.packed import ERROR, FEEDBACK, Pack, PackedNumbers
from streams.ingest.columns import LATENCY_CODE, Columns, metric_names
from streams.ingest.dead_letters import AHEAD, BEHIND, MAGNITUDE_MAX, MALFORMED_PACK, Refused
from streams.ingest.pack_cells import PackCells, PackTimes
from streams.ingest.pack_entries import NO_CODES, Column, Entries, coded, highest, integers, lowest, starts_of
from streams.ingest.pack_names import PackNames
from streams.ingest.pack_shape import Malformed, read_pack
from streams.ingest.pack_units import pack_units
from streams.ingest.records import Records


def pack_columns(records: Records) -> tuple[Columns, list[Refused]]:
    """Decode packed records, check them and split them into columns.

    Returns
    -------
    The columns of the events of the good packs, and the refused packs by ascending row.
    """
    names = PackNames()
    good: list[tuple[int, Pack]] = []
    faults: dict[int, Malformed] = {}
    for row, raw in enumerate(records.raw):
        try:
            pack = read_pack(raw or b"")
            names.add(pack)
        except Malformed as fault:
            faults[row] = fault
        else:
            good.append((row, pack))
    while True:
        rows = np.array([row for row, _ in good], dtype=np.int64)
        batch = _Batch(names, [pack for _, pack in good], records.log_ms[rows])
        columns = batch.columns(rows)
        if columns is not None:
            return columns, [Refused(row, one.reason, one.path, one.detail) for row, one in sorted(faults.items())]
        faults |= {good[at][0]: fault for at, fault in batch.faults.items()}
        good = [one for at, one in enumerate(good) if at not in batch.faults]


class _Batch:
    """Packs of the right shape; ``faults`` is the first fault of those that have one, by index."""

    def __init__(self, names: PackNames, packs: Sequence[Pack], log_ms: Ints) -> None:
        self._names = names
        self._packs = packs
        self._log_ms = log_ms
        self._n = np.fromiter((pack.n for pack in packs), np.int64, len(packs))
        self._starts = starts_of(self._n)
        self.faults: dict[int, Malformed] = {}

    def columns(self, rows: Ints) -> Columns | None:
        """The columns of all events, or None when a pack has a fault.

        Parameters
        ----------
        rows : row of each pack among the records.
        """
        names = self._names
        times = self._times()
        version, segment = self._series()
        flags = np.frombuffer(b"".join([pack.flags or NO_CODES[: pack.n] for pack in self._packs]), dtype=np.uint8)
        flags_most = highest(flags, self._starts)
        self._note(flags_most > (ERROR | FEEDBACK), "$.flags")
        dense, numbers = self._numbers()
        labels, label = self._categories()
        unit = self._some("$.unit", [pack.unit for pack in self._packs])
        epoch = self._some("$.epoch", [pack.epoch for pack in self._packs])
        bucket = self._some("$.bucket", [pack.bucket for pack in self._packs])
        if self.faults:
            return None
        feedback = flags >> 1 if (flags_most & FEEDBACK).any() else None
        cells = PackCells.of(names, version, segment, feedback, times, self._n)
        every_event = not labels.sparse and labels.pack == tuple(range(len(self._packs)))
        return Columns(
            row=np.repeat(rows, self._n),
            cell=cells.code,
            cells=cells.size,
            name_of=cells.name_of,
            request=flags < FEEDBACK,
            error=flags == ERROR,
            dense=dense,
            metric_event=numbers.events(self._starts),
            metric=numbers.spread(numbers.code),
            value=numbers.floats(),
            metric_names=metric_names(names.metrics),
            label_event=None if every_event else labels.events(self._starts),
            label=label,
            label_names=list(names.labels),
            units=pack_units(unit, epoch, bucket, self._starts, flags.size),
        )

    def _times(self) -> PackTimes:
        after_ms = integers([pack.ts for pack in self._packs], self._n)
        base_ms = np.fromiter((pack.base_ms for pack in self._packs), np.int64, len(self._packs))
        times = PackTimes(base_ms, after_ms, lowest(after_ms, self._starts), highest(after_ms, self._starts))
        ahead_ms = base_ms - self._log_ms
        self._note(ahead_ms + times.after_ms_most > TS_AHEAD_MAX_MS, "$.ts", reason=AHEAD)
        self._note(ahead_ms + times.after_ms_least < -TS_BEHIND_MAX_MS, "$.ts", reason=BEHIND)
        return times

    def _series(self) -> tuple[Ints, Ints]:
        """The codes of each event's version, which is of one service, and of its segment."""
        packs, names = self._packs, self._names
        versions = [names.versions_of(pack) for pack in packs]
        segments = [names.segments_of(pack) for pack in packs]
        version_codes = integers([pack.version or NO_CODES[: pack.n] for pack in packs], self._n)
        segment_codes = integers([pack.segment or NO_CODES[: pack.n] for pack in packs], self._n)
        version, bad_versions = coded(version_codes, self._n, versions)
        segment, bad_segments = coded(segment_codes, self._n, segments)
        self._note(bad_versions, "$.version")
        self._note(bad_segments, "$.segment")
        return version, segment

    def _numbers(self) -> tuple[list[tuple[int, Floats]], Entries]:
        """Latencies and values: those that all events have, by metric, and the entries of the others."""
        metrics = self._names.metrics
        columns: list[Column] = []
        for index, pack in enumerate(self._packs):
            if pack.latency_ms is not None:
                columns.append((index, pack.n, pack.latency_ms.data, pack.latency_ms.at, LATENCY_CODE))
            for name, numbers in pack.values.items():
                columns.append((index, pack.n, numbers.data, numbers.at, 1 + metrics[name]))
        by_metric: dict[int, list[Column]] = {}
        for column in columns:
            by_metric.setdefault(column[-1], []).append(column)
        full = [metric for metric, found in by_metric.items() if self._are_full(found)]
        dense = [(metric, Entries.of(by_metric.pop(metric)).floats()) for metric in full]
        others = Entries.of([column for found in by_metric.values() for column in found])
        odd = any(_is_odd(value, least=0.0 if metric == LATENCY_CODE else -MAGNITUDE_MAX) for metric, value in dense)
        odd |= _is_odd(others.floats(), least=0.0 if LATENCY_CODE in by_metric else -MAGNITUDE_MAX)
        if odd or others.disordered(self._n).any():
            self._judge_numbers(Entries.of(columns))
        return dense, others

    def _are_full(self, columns: Sequence[Column]) -> bool:
        """Whether columns of one metric have a number of every event."""
        return len(columns) == len(self._packs) and not any(at for _, _, _, at, _ in columns)

    def _judge_numbers(self, found: Entries) -> None:
        """Say which numbers of which packs are wrong, if any are."""
        value = found.floats()
        names = ["latency_ms", *(f"values.{name[:64]}" for name in self._names.metrics)]

        def path(column: int) -> str:
            return f"$.{names[found.code[column]]}"

        self._note_entries(found, found.disordered(self._n), path)
        self._note_entries(found, found.bad(~np.isfinite(value)), path, reason="number not finite")
        self._note_entries(found, found.bad(~(np.abs(value) <= MAGNITUDE_MAX)), path, reason="number out of range")
        latency = np.array(found.code) == LATENCY_CODE
        self._note_entries(found, found.bad(value < 0) & latency, path, reason="negative latency")

    def _categories(self) -> tuple[Entries, Ints]:
        """Labels, and the code of each."""
        columns, tables, names = list[Column](), list[list[int]](), list[str]()
        for index, pack in enumerate(self._packs):
            for name, label in pack.labels.items():
                columns.append((index, pack.n, label.codes, label.at, 0))
                tables.append(self._names.labels_of(name, label.names))
                names.append(name)
        found = Entries.of(columns)

        def path(column: int) -> str:
            return f"$.labels.{names[column][:64]}"

        category, bad = coded(found.integers(), found.count, tables)
        self._note_entries(found, bad, path)
        self._note_entries(found, found.disordered(self._n), path)
        return found, category

    def _some(self, path: str, columns: Sequence[PackedNumbers | None]) -> Entries:
        """A column that packs may have: one each, or None."""
        found = Entries.of(
            [
                (index, self._packs[index].n, column.data, column.at, 0)
                for index, column in enumerate(columns)
                if column is not None
            ]
        )
        self._note_entries(found, found.disordered(self._n), lambda _: path)
        return found

    def _note(self, bad: Flags, path: str, *, reason: str = MALFORMED_PACK) -> None:
        """Remember the packs that are bad."""
        for index in np.flatnonzero(bad).tolist():
            self.faults.setdefault(index, Malformed(reason, path))

    def _note_entries(
        self, found: Entries, bad: Flags, path: Callable[[int], str], *, reason: str = MALFORMED_PACK
    ) -> None:
        """Remember the packs of the columns that are bad."""
        for column in np.flatnonzero(bad).tolist():
            self.faults.setdefault(found.pack[column], Malformed(reason, path(column)))


def _is_odd(value: Floats, *, least: float) -> bool:
    """Whether a number may be wrong: one sweep each way, since what is no number passes no comparison."""
    return value.size > 0 and not (value.min() >= least and value.max() <= MAGNITUDE_MAX)
