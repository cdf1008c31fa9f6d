"""Slices: the pure state machine that cuts the log of each source partition, by log-append time and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detectors.arrays import Ints
from schemas.basis import Basis
from schemas.report import SLICE_MS, Report
from streams.ingest.columns import Columns
from streams.ingest.grouping import fold
from streams.ingest.records import Records
from streams.ingest.sums import SliceSums
from streams.service_partition import partition_of


@dataclass(slots=True)
class Slice:
    """The prefix, read so far, of one slice of one source partition."""

    source: int
    slice_no: int
    first_offset: int
    through_offset: int
    newest_ms: int
    sums: SliceSums = field(default_factory=SliceSums)

    def reports(self, topic_id: str, input_partitions: int) -> list[Report]:
        """The full prefix, one report for each partition of ``canary.inputs`` in order, empty ones too."""
        reports = [
            Report(
                topic_id=topic_id,
                source=self.source,
                slice_no=self.slice_no,
                first_offset=self.first_offset,
                through_offset=self.through_offset,
                cells=[],
                folded={},
                newest_ms=self.newest_ms,
            )
            for _ in range(input_partitions)
        ]
        for cell in self.sums.report():
            reports[partition_of(cell.service, input_partitions)].cells.append(cell)
        for service, count in self.sums.folded.items():
            reports[partition_of(service, input_partitions)].folded[service] = count
        return reports


@dataclass(frozen=True, slots=True)
class Closed:
    """A slice that is complete, and the first offset of the one that follows it in the log.

    That offset may be committed once every report sent so far, this slice's last one included, is acknowledged.
    """

    slice: Slice
    next_first_offset: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive records of a batch that lie in one slice of one source partition."""

    source: int
    slice_no: int
    first_offset: int
    through_offset: int
    newest_ms: int


class Slices:
    """The open slice of each owned source partition.

    Parameters
    ----------
    services : the only ones that are counted by their names; none for all that come.
    """

    def __init__(self, services: frozenset[str] = frozenset()) -> None:
        self._services = services
        self.open: dict[int, Slice] = {}
        self.bases: Mapping[str, Basis] = {}
        """By service; slices that are opened from now on count vectors in them. To be replaced, never changed."""

    def drop(self, source: int) -> None:
        """Forget a source partition that now belongs to somebody else, who starts its open slice anew."""
        self.open.pop(source, None)

    def add(self, records: Records, columns: Columns) -> list[Closed]:
        """Take a batch in. Every record moves the cut, refused ones too; the columns are those of the good ones.

        Returns
        -------
        The slices that the batch closed, in the order in which their last reports are to be sent.

        Raises
        ------
        ValueError : when offsets of a source partition go back: the topic is not the one that was read before.
        """
        stretches, stretch_of_row = self._cut(records)
        closed: list[Closed] = []
        sums: list[SliceSums] = []
        for stretch in stretches:
            current = self.open.get(stretch.source)
            if current is None or stretch.slice_no > current.slice_no:
                if current is not None:
                    closed.append(Closed(current, stretch.first_offset))
                current = Slice(
                    source=stretch.source,
                    slice_no=stretch.slice_no,
                    first_offset=stretch.first_offset,
                    through_offset=stretch.through_offset,
                    newest_ms=stretch.newest_ms,
                    sums=SliceSums(self.bases, self._services),
                )
                self.open[stretch.source] = current
            current.through_offset = stretch.through_offset
            current.newest_ms = stretch.newest_ms
            sums.append(current.sums)
        fold(columns, stretch_of_row, sums)
        return closed

    def _cut(self, records: Records) -> tuple[list[_Stretch], Ints]:
        stretch_of_row = np.empty(len(records), dtype=np.int64)
        stretches: list[_Stretch] = []
        for source in np.unique(records.source).tolist():
            rows = np.flatnonzero(records.source == source)
            offset = records.offset[rows]
            current = self.open.get(source)
            if (current is not None and offset[0] <= current.through_offset) or np.any(np.diff(offset) <= 0):
                raise ValueError(
                    f"source partition {source}: offset {int(offset.min())} came after "
                    f"{current.through_offset if current else int(offset.max())}; offsets only ascend"
                )
            log_ms = records.log_ms[rows]
            if current is not None:
                log_ms = np.maximum(log_ms, current.newest_ms)
            newest_ms = np.maximum.accumulate(log_ms)
            slice_no = newest_ms // SLICE_MS
            starts = np.flatnonzero(np.diff(slice_no, prepend=slice_no[0] - 1))
            ends = np.append(starts[1:], rows.size)
            stretch_of_row[rows] = len(stretches) + np.repeat(np.arange(starts.size), ends - starts)
            stretches += [
                _Stretch(source, *numbers)
                for numbers in zip(
                    slice_no[starts].tolist(),
                    offset[starts].tolist(),
                    offset[ends - 1].tolist(),
                    newest_ms[ends - 1].tolist(),
                    strict=True,
                )
            ]
        return stretches, stretch_of_row
