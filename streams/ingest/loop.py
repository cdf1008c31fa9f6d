"""The thin process loop of ingest: Kafka, the clock, and nothing that decides what is counted."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.ingest.bases import BasesReader
from streams.ingest.engine import Engine
from streams.ingest.http import Liveness, serve
from streams.ingest.metrics import IngestMetrics
from streams.ingest.outbox import DeliveryError, KafkaOutbox
from streams.ingest.settings import IngestSettings
from streams.ingest.source import CreateTimeError, consumer_properties, records_of, split_errors
from streams.ingest.topic_identity import topic_identity

EXIT_OK: Final = 0
EXIT_WRONG_INPUT: Final = 2
EXIT_DEPENDENCY: Final = 3

_WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
_WAITING_SENDS_MAX: Final = 50_000
_POLL_S: Final = 0.05
_COMMIT_EVERY_S: Final = 1.0
_ASK_AGAIN_S: Final = 2.0
_FLUSH_AT_STOP_S: Final = 3.0
_COMPLAIN_EVERY_S: Final = 10.0

_log = structlog.get_logger("serinus.ingest")


def run_ingest(settings: IngestSettings, stop: threading.Event) -> int:
    """Run until ``stop`` is set; signals are the caller's.

    Returns
    -------
    0 after a stop; 2 when the source topic must not be read as it is; 3 when the broker refused a record for good or
    failed fatally. After anything but 0 nothing more was committed, and a restart counts everything again.
    """
    metrics, liveness = IngestMetrics(), Liveness()
    if settings.http_port is not None:
        try:
            serve(metrics.registry, liveness, host=settings.http_host, port=settings.http_port)
        except OSError as error:
            address = f"{settings.http_host}:{settings.http_port}"
            _log.error(
                "ingest cannot listen for HTTP; choose another ingest_http_port", address=address, problem=str(error)
            )
            return EXIT_WRONG_INPUT
    topic_id = _wait_for_topic(settings, stop, liveness)
    if topic_id is None:
        return EXIT_OK
    loop = _Loop(settings, topic_id, metrics, liveness)
    try:
        loop.run(stop)
    except CreateTimeError as error:
        _log.error("ingest refuses the topic", problem=str(error))
        return EXIT_WRONG_INPUT
    except DeliveryError as error:
        metrics.delivery_failed()
        _log.error("ingest ends without a commit: a record was not delivered", problem=str(error))
        return EXIT_DEPENDENCY
    except (KafkaException, ValueError) as error:
        _log.error("ingest ends without a commit", problem=str(error))
        return EXIT_DEPENDENCY
    finally:
        loop.close()
    return EXIT_OK


def _wait_for_topic(settings: IngestSettings, stop: threading.Event, liveness: Liveness) -> str | None:
    while not stop.is_set():
        liveness.moved()
        try:
            return topic_identity(settings)
        except KafkaException as error:
            _log.warning(
                "waiting for Kafka",
                brokers=settings.kafka.get("bootstrap.servers"),
                topic=settings.events_topic,
                problem=error.args[0].str() if isinstance(error.args[0], KafkaError) else str(error),
            )
            stop.wait(_ASK_AGAIN_S)
    return None


class _Loop:
    def __init__(self, settings: IngestSettings, topic_id: str, metrics: IngestMetrics, liveness: Liveness) -> None:
        self._settings = settings
        self._metrics = metrics
        self._liveness = liveness
        self._outbox = KafkaOutbox(settings, self._acknowledged)
        self._engine = Engine(settings, topic_id, self._outbox, metrics)
        self._consumer: Any = Consumer(consumer_properties(settings))
        self._consumer.subscribe(
            [settings.events_topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        self._bases = BasesReader(settings)
        self._committed: dict[int, int] = {}
        self._paused = False
        self._broken = False
        self._complained_s: dict[str, float] = {}

    def run(self, stop: threading.Event) -> None:
        try:
            self._consume(stop)
            self._engine.flush(now_s=time.monotonic(), now_ms=_unix_ms(), final=True)
            if self._outbox.flush(_FLUSH_AT_STOP_S):
                self._commit(wait=True)
            else:
                _log.warning("stopped before all reports were acknowledged; a restart sends them again")
        except BaseException:
            self._broken = True
            raise

    def close(self) -> None:
        # From here on the revocation callback must not commit behind an error.
        if self._broken:
            self._outbox.abandon()
        self._consumer.close()
        self._bases.close()

    def _consume(self, stop: threading.Event) -> None:
        settings = self._settings
        flush_s = settings.flush_ms / 1000
        next_flush_s = time.monotonic() + flush_s
        next_commit_s = time.monotonic() + _COMMIT_EVERY_S
        while not stop.is_set():
            self._liveness.moved()
            self._hold_back()
            wait_s = min(_POLL_S, max(0.0, next_flush_s - time.monotonic()))
            messages = self._consumer.consume(settings.batch_size, wait_s)
            if messages:
                messages, errors = split_errors(messages)
                for error in errors:
                    self._complain(error)
                if messages:
                    self._take(messages)
            self._outbox.poll(0)
            now_s = time.monotonic()
            if now_s >= next_flush_s and not self._paused:
                self._engine.count_in(self._bases.follow())
                self._engine.flush(now_s=now_s, now_ms=_unix_ms())
                next_flush_s = now_s + flush_s
            if now_s >= next_commit_s:
                self._commit(wait=False)
                self._measure_lag()
                next_commit_s = now_s + _COMMIT_EVERY_S

    def _take(self, messages: list[Any]) -> None:
        settings = self._settings
        records = records_of(messages, topic=settings.events_topic, embedded=settings.embedded)
        if self._committed:
            self._look_for_gaps(messages)
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

    def _look_for_gaps(self, messages: list[Any]) -> None:
        """The first record of a partition lies at the committed offset, unless retention was faster."""
        for message in messages:
            source = message.partition()
            committed = self._committed.pop(source, None)
            if committed is not None and message.offset() > committed:
                lost = message.offset() - committed
                self._metrics.gap(lost)
                _log.error(
                    "events are lost: retention deleted them before they were read",
                    topic=self._settings.events_topic,
                    partition=source,
                    committed=committed,
                    first_offset=message.offset(),
                    records_at_most=lost,
                )
            if not self._committed:
                return

    def _commit(self, *, wait: bool) -> None:
        allowed = self._engine.commits.allowed()
        if not allowed:
            return
        topic = self._settings.events_topic
        offsets = [TopicPartition(topic, source, offset) for source, offset in allowed.items()]
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
            committed = consumer.committed(places, timeout=10)
        except KafkaException as error:
            self._complain(error.args[0])
            committed = []
        self._committed.update({one.partition: one.offset for one in committed if one.offset >= 0})
        for place in places:
            self._engine.drop(place.partition)
        _log.info("source partitions assigned", partitions=sorted(one.partition for one in places))

    def _revoked(self, _consumer: Any, places: list[Any]) -> None:
        if not self._broken:
            self._commit(wait=True)
        self._lost(_consumer, places)

    def _lost(self, _consumer: Any, places: list[Any]) -> None:
        for place in places:
            self._engine.drop(place.partition)
            self._committed.pop(place.partition, None)
        _log.info("source partitions given up", partitions=sorted(one.partition for one in places))

    def _complain(self, error: Any) -> None:
        if error.fatal():
            raise KafkaException(error)
        now_s = time.monotonic()
        if now_s - self._complained_s.get(error.name(), float("-inf")) >= _COMPLAIN_EVERY_S:
            self._complained_s[error.name()] = now_s
            _log.warning("Kafka reports trouble", problem=error.str(), code=error.name())


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
