"""The thin process loop of ingest: Kafka, the clock, and nothing that decides what is counted."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.ingest.bases import BasesReader
from streams.ingest.engine import Engine
from streams.ingest.metrics import IngestMetrics
from streams.ingest.outbox import KafkaOutbox
from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings
from streams.ingest.source import consumer_properties, leave_group, records_of, split_errors
from streams.ingest.topic_identity import TopicIds, TopicWatch
from streams.probes import Liveness

_BATCH_MIN: Final = 100
_BATCH_BYTES: Final = 8 * 1024 * 1024
_WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
_WAITING_SENDS_MAX: Final = 50_000
_POLL_S: Final = 0.05
_COMMIT_EVERY_S: Final = 1.0
_ASK_S: Final = 5.0
_FLUSH_AT_STOP_S: Final = 3.0
_ANEW_S_MIN: Final = 60.0
"""A consumer that fails for good twice within this time has a trouble that a new one does not cure."""
_COMPLAIN_EVERY_S: Final = 10.0
_SILENT_S: Final = 5.0
_SLOW_S: Final = 1.0

_log = structlog.get_logger("serinus.ingest")


class IngestLoop:
    """One ingest process: a consumer, an engine, a producer. :meth:`turn` is what happens again and again."""

    def __init__(self, settings: IngestSettings, topic_id: str, metrics: IngestMetrics, liveness: Liveness) -> None:
        self._settings = settings
        self._metrics = metrics
        self._liveness = liveness
        self._outbox = KafkaOutbox(settings, self._acknowledged)
        self._engine = Engine(settings, topic_id, self._outbox, metrics)
        self._topic_id = topic_id
        ids = None if settings.embedded else TopicIds(settings)
        self._watch = TopicWatch(topic_id, ids, now_s=time.monotonic())
        self._member = str(uuid.uuid4())
        self._fenced: Any = None
        self._joined_s = float("-inf")
        self._consumer = self._joined()
        self._bases = BasesReader(settings)
        self._next: dict[int, int] = {}
        self._batch = min(settings.batch_size, _BATCH_MIN)
        self._paused = False
        self._broken = False
        self._complained_s: dict[str, float] = {}
        self._next_flush_s = time.monotonic() + settings.flush_ms / 1000
        self._next_commit_s = time.monotonic() + _COMMIT_EVERY_S

    def _joined(self) -> Any:
        """A consumer that is, or takes the place of, this process in the group."""
        consumer = Consumer(consumer_properties(self._settings, member=self._member))
        consumer.subscribe(
            [self._settings.events_topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        return consumer

    def run(self, stop: threading.Event) -> None:
        """Take turns until ``stop`` is set, then send and commit what is left."""
        while not stop.is_set():
            self.turn()
        self.finish()

    def turn(self) -> None:
        """Read a batch, send what it closed, and report and commit when it is time."""
        with self._broken_by_errors():
            self._turn()

    def finish(self) -> None:
        """The last reports, and a commit if they are acknowledged in time."""
        with self._broken_by_errors():
            self._engine.flush(now_s=time.monotonic(), now_ms=_unix_ms(), final=True)
            if self._outbox.flush(_FLUSH_AT_STOP_S):
                self._commit(wait=True)
            else:
                _log.warning("stopped before all reports were acknowledged; a restart sends them again")

    @contextmanager
    def _broken_by_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    def close(self) -> None:
        """Leave the group; after an error without a commit."""
        # From here on the revocation callback must not commit behind an error.
        if self._broken:
            self._outbox.abandon()
        leave_group(self._consumer)
        self._bases.close()

    def _turn(self) -> None:
        settings = self._settings
        self._liveness.moved()
        if self._fenced is not None:
            self._join_anew(self._fenced)
        self._hold_back()
        wait_s = min(_POLL_S, max(0.0, self._next_flush_s - time.monotonic()))
        # Asked before reading: what is read then was written to the topic that was asked about.
        if self._watch.confirmed(time.monotonic()):
            messages = self._consumer.consume(self._batch, wait_s)
        else:
            self._warn("topic id", "nothing is read: the broker does not say which topic it has", settings.events_topic)
            messages = []
            self._outbox.poll(_POLL_S)
        if messages:
            messages, errors = split_errors(messages)
            for error in errors:
                self._complain(error)
            if messages:
                self._take(messages)
        self._outbox.poll(0)
        self._listen()
        now_s = time.monotonic()
        if now_s >= self._next_flush_s and not self._paused:
            self._engine.count_in(self._bases.follow())
            self._engine.flush(now_s=now_s, now_ms=_unix_ms())
            self._next_flush_s = now_s + settings.flush_ms / 1000
        if now_s >= self._next_commit_s:
            self._commit(wait=False)
            self._measure_lag()
            self._next_commit_s = now_s + _COMMIT_EVERY_S

    def _join_anew(self, fatal: Any) -> None:
        """A commit from before our session ended came after we had joined again: the client never recovers from it."""
        now_s = time.monotonic()
        if now_s - self._joined_s < _ANEW_S_MIN:
            raise KafkaException(fatal)
        self._consumer.close()
        for source in list(self._engine.through()):
            self._engine.drop(source)
        self._next.clear()
        self._fenced, self._joined_s = None, now_s
        self._consumer = self._joined()

    def _take(self, messages: list[Any]) -> None:
        settings = self._settings
        mean_bytes = 1 + sum(map(len, messages)) // len(messages)
        self._batch = min(settings.batch_size, max(_BATCH_MIN, _BATCH_BYTES // mean_bytes))
        records = records_of(messages, topic=settings.events_topic, embedded=settings.embedded)
        self._look_for_gaps(records)
        self._engine.take(records)

    def _hold_back(self) -> None:
        """Stop reading while too much waits for the broker; stay in the group meanwhile."""
        waiting = self._outbox.waiting_bytes > _WAITING_BYTES_MAX
        waiting = waiting or self._engine.commits.outstanding > _WAITING_SENDS_MAX
        if waiting != self._paused:
            assignment = self._consumer.assignment()
            if waiting:
                self._consumer.pause(assignment)
                _log.warning("the broker does not keep up; reading is paused")
            else:
                self._consumer.resume(assignment)
                _log.info("reading goes on")
            self._paused = waiting

    def _listen(self) -> None:
        """Say it when the broker acknowledges late, or nothing: while it keeps its connections, no client complains."""
        slowest_s = self._outbox.slowest_s()
        if slowest_s > _SLOW_S:
            self._warn("slow", "Kafka acknowledges slowly; reports come late", f"one took {slowest_s:.1f} s")
        silent = self._outbox.silent_s() > _SILENT_S
        if silent and not self._liveness.waits_for:
            _log.warning("Kafka acknowledges nothing; reports wait in memory", seconds=_SILENT_S)
        elif not silent and self._liveness.waits_for:
            _log.info("Kafka acknowledges again")
        self._liveness.waits_for = f"Kafka has acknowledged nothing for {_SILENT_S:.0f} s" if silent else ""

    def _look_for_gaps(self, records: Records) -> None:
        """The next record of a partition lies where the last one ended, unless retention was faster than we were.

        A consumer that was overtaken goes on at the first record there is and tells nobody.
        """
        for source in np.unique(records.source).tolist():
            offsets = records.offset[records.source == source]
            expected = np.append(self._next.get(source, offsets[0]), offsets[:-1] + 1)
            holes = np.flatnonzero(offsets > expected)
            if holes.size:
                self._tell_lost(source, list(zip(expected[holes].tolist(), offsets[holes].tolist(), strict=True)))
            self._next[source] = int(offsets[-1]) + 1

    def _tell_lost(self, source: int, holes: list[tuple[int, int]]) -> None:
        """Only what lies before the log's first offset was deleted: transactions leave holes too."""
        place = TopicPartition(self._settings.events_topic, source)
        try:
            first, _ = self._consumer.get_watermark_offsets(place, timeout=_ASK_S)
        except KafkaException as error:
            self._complain(error.args[0])
            first = holes[-1][1]
        for expected, found in holes:
            lost = min(first, found) - expected
            if lost <= 0:
                continue
            self._metrics.gap(lost)
            _log.error(
                "events are lost: retention deleted them before they were read",
                topic=place.topic,
                partition=source,
                expected=expected,
                first_offset=expected + lost,
                records_at_most=lost,
            )

    def _commit(self, *, wait: bool) -> None:
        allowed = self._engine.commits.allowed()
        if not allowed:
            return
        topic = self._settings.events_topic
        offsets = [TopicPartition(topic, source, offset, self._topic_id) for source, offset in allowed.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=not wait)
        except KafkaException as error:
            # Harmless: a later commit says more, and a restart from an older offset counts the same slices.
            self._complain(error.args[0])
            return
        for source, offset in allowed.items():
            self._engine.commits.committed(source, offset)

    def _measure_lag(self) -> None:
        for source, through_offset in self._engine.through().items():
            place = TopicPartition(self._settings.events_topic, source)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            if end >= 0:
                self._metrics.lag(source, max(0, end - through_offset - 1))

    def _acknowledged(self, number: int) -> None:
        self._engine.acknowledged(number)

    def _assigned(self, consumer: Any, places: list[Any]) -> None:
        self._paused = False
        try:
            known = consumer.committed(places, timeout=10)
        except KafkaException as error:
            self._complain(error.args[0])
            known = []
        committed = {one.partition: one for one in known if one.offset >= 0}
        for place in places:
            self._engine.drop(place.partition)
            self._next.pop(place.partition, None)
            one = committed.get(place.partition)
            if one is not None and one.metadata and one.metadata != self._topic_id:
                _log.warning("a commit of another topic of this name is passed over", partition=place.partition)
                place.offset = OFFSET_BEGINNING
            elif one is not None:
                self._next[place.partition] = one.offset
        consumer.incremental_assign(places)
        _log.info("source partitions assigned", partitions=sorted(one.partition for one in places))

    def _revoked(self, _consumer: Any, places: list[Any]) -> None:
        if not self._broken:
            self._commit(wait=True)
        self._lost(_consumer, places)

    def _lost(self, _consumer: Any, places: list[Any]) -> None:
        for place in places:
            self._engine.drop(place.partition)
            self._next.pop(place.partition, None)
        _log.info("source partitions given up", partitions=sorted(one.partition for one in places))

    def _complain(self, error: Any) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fenced = error
        self._warn(error.name(), "Kafka reports trouble", error.str())

    def _warn(self, about: str, what: str, problem: str) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s.get(about, float("-inf")) >= _COMPLAIN_EVERY_S:
            self._complained_s[about] = now_s
            _log.warning(what, problem=problem, code=about)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
