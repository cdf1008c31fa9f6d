"""What ingest does with batches, flushes and acknowledgements. Knows no Kafka client and no clock: both are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.basis import Basis
from schemas.dead_letter import encode_dead_letter
from schemas.inputs import encode_input
from streams.ingest.commits import Commits
from streams.ingest.dead_letters import Refused, dead_letter
from streams.ingest.decoder import RecordDecoder
from streams.ingest.metrics import IngestMetrics
from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings
from streams.ingest.slices import Slice, Slices

PIECE_BYTES: Final = 1024 * 1024
"""How many bytes of large records are decoded at a time: some sixty thousand packed events, which fit the caches."""

IDLE_S: Final = 1.0
"""A slice that has not changed for this long is repeated only this often."""


class Outbox(Protocol):
    """Where records are sent. The number comes back through :meth:`Engine.acknowledged`, or the process ends."""

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None: ...


@dataclass(slots=True)
class _Shown:
    """What was last said of an open slice, and when."""

    through_offset: int
    encoded: list[bytes]
    changed_s: float
    sent_s: float


class Engine:
    """The order in which things are sent and offsets become free to commit.

    Per batch: dead letters, then the last report of each slice that the batch closed. Only then the next slice counts
    as opened, and its first offset may be committed once all of that is acknowledged.
    """

    def __init__(self, settings: IngestSettings, topic_id: str, outbox: Outbox, metrics: IngestMetrics) -> None:
        self._settings = settings
        self._topic_id = topic_id
        self._outbox = outbox
        self._metrics = metrics
        self._decoder = RecordDecoder()
        self._slices = Slices(settings.services)
        self._shown: dict[int, _Shown] = {}
        self.commits = Commits()

    def count_in(self, bases: Mapping[str, Basis]) -> None:
        """The bases in force, by service, for slices that are opened from now on."""
        self._slices.bases = bases

    def take(self, records: Records) -> None:
        """Count a batch, and send what it refused and what it closed."""
        for piece in records.pieces(PIECE_BYTES):
            self._take(piece)

    def _take(self, records: Records) -> None:
        columns, refused = self._decoder.build(records)
        for one in refused:
            self._send_dead(one, records)
        self._metrics.took(columns.row.size)
        for closed in self._slices.add(records, columns):
            self._send(self._encode(closed.slice))
            self._shown.pop(closed.slice.source, None)
            self._metrics.folded(closed.slice.sums.folded.total())
            self.commits.opened(closed.slice.source, closed.next_first_offset)

    def flush(self, *, now_s: float, now_ms: int, final: bool = False) -> None:
        """Send the full prefix of every open slice, unless an unchanged one was shown a moment ago.

        ``now_s`` is a monotonic clock, ``now_ms`` the Unix time, for the delay metric alone.
        """
        for source, one in sorted(self._slices.open.items()):
            shown = self._shown.get(source)
            if shown is None or shown.through_offset != one.through_offset:
                shown = _Shown(one.through_offset, self._encode(one), changed_s=now_s, sent_s=now_s)
                self._shown[source] = shown
            elif final or (now_s - shown.changed_s > IDLE_S and now_s - shown.sent_s < IDLE_S):
                continue
            shown.sent_s = now_s
            self._send(shown.encoded)
        if self._slices.open:
            oldest_ms = min(one.newest_ms for one in self._slices.open.values())
            self._metrics.slice_delay(max(0.0, (now_ms - oldest_ms) / 1000))

    def acknowledged(self, number: int) -> None:
        """The broker has this send for good."""
        self.commits.acknowledged(number)

    def drop(self, source: int) -> None:
        """Somebody else owns this source partition now."""
        self._slices.drop(source)
        self._shown.pop(source, None)
        self.commits.drop(source)
        self._metrics.disowned(source)

    def through(self) -> dict[int, int]:
        """The last offset read of each owned source partition."""
        return {source: one.through_offset for source, one in self._slices.open.items()}

    def _encode(self, one: Slice) -> list[bytes]:
        return [encode_input(report) for report in one.reports(self._topic_id, self._settings.input_partitions)]

    def _send(self, encoded: list[bytes]) -> None:
        for partition, value in enumerate(encoded):
            number = self.commits.sent()
            self._outbox.send(self._settings.inputs_topic, value, number=number, partition=partition, key=None)
        self._metrics.reported(len(encoded))

    def _send_dead(self, refused: Refused, records: Records) -> None:
        letter = dead_letter(
            refused,
            records.raw[refused.row],
            topic=self._settings.events_topic,
            partition=int(records.source[refused.row]),
            offset=int(records.offset[refused.row]),
        )
        self._metrics.refused(refused.reason)
        self._outbox.send(
            self._settings.dead_topic,
            encode_dead_letter(letter),
            number=self.commits.sent(),
            partition=None,
            key=records.key_of(refused.row),
        )
