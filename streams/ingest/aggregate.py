"""Records in, reports out: ingest without Kafka, for replays and for everything that must agree with the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from schemas.basis import Basis
from schemas.report import Report
from streams.ingest.dead_letters import Refused
from streams.ingest.decoder import RecordDecoder
from streams.ingest.records import Records
from streams.ingest.slices import Slices


class Aggregator:
    """The same path as the running ingest: columns, bounds, slices, reports. The log times are given."""

    def __init__(self, topic_id: str, *, input_partitions: int = 1, services: frozenset[str] = frozenset()) -> None:
        self._topic_id = topic_id
        self._input_partitions = input_partitions
        self._decoder = RecordDecoder()
        self._slices = Slices(services)
        self.events = 0
        """Usable events so far; a packed record has many."""

    def count_in(self, bases: Mapping[str, Basis]) -> None:
        """The bases in force, by service, for slices that are opened from now on."""
        self._slices.bases = bases

    def add(self, records: Records) -> tuple[list[list[Report]], list[Refused]]:
        """Take a batch in.

        Returns
        -------
        For each slice that the batch closed, its final reports, one per partition of ``canary.inputs`` in order; and
        the refused records by row.
        """
        columns, refused = self._decoder.build(records)
        self.events += columns.row.size
        closed = self._slices.add(records, columns)
        return [one.slice.reports(self._topic_id, self._input_partitions) for one in closed], refused

    def flush(self) -> list[list[Report]]:
        """The reports of every open slice as far as it was read; it stays open."""
        return [one.reports(self._topic_id, self._input_partitions) for _, one in sorted(self._slices.open.items())]


def aggregate(
    batches: Iterable[Records], *, topic_id: str = "replay", input_partitions: int = 1
) -> Iterator[list[Report]]:
    """The final reports of every slice of a finite log, slice by slice; refused records are left out.

    Parameters
    ----------
    batches : the log, cut anywhere: the cuts change nothing.
    topic_id : identity of the source topic in the reports.
    input_partitions : into how many reports each slice is split, by service.
    """
    aggregator = Aggregator(topic_id, input_partitions=input_partitions)
    for records in batches:
        closed, _ = aggregator.add(records)
        yield from closed
    yield from aggregator.flush()
