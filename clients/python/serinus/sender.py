"""The background half of the emitter: takes events from the queue, makes records of them, hands them to librdkafka."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial

from serinus.event import Arguments
from serinus.kafka import Config, KafkaError, KafkaException, Message, Producer, build_producer
from serinus.quiet_log import QuietLog
from serinus.records import Dropped, Record, Writer

_REST_S = 0.0002
"""Really asleep: a thread that only hands the lock over takes it back before a waiting one wakes (stalls of 200 ms)."""

_IDLE_S = 0.02
_RETRY_S = 0.1
_PURGE_S = 1.0


class Sender:
    """Owns a producer and a thread.

    Parameters
    ----------
    brokers, topic, config: where to, and how.
    queue: events to send; only the sender takes any out.
    limit: events that librdkafka may hold.
    writer: makes records of events, and says how long events wait for others.
    dropped: called with the reason and a text for each event that will never arrive.
    """

    def __init__(  # noqa: PLR0913 - the wiring of one owner, in one place
        self,
        *,
        brokers: str,
        topic: str,
        config: Config,
        queue: deque[Arguments],
        limit: int,
        writer: Writer,
        dropped: Dropped,
        log: QuietLog,
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._config = config
        self._queue = queue
        self._limit = limit
        self._writer = writer
        self._dropped = dropped
        self._log = log
        self._stop = threading.Event()
        self.hurry = False
        self.sent = 0
        self._taken = 0
        self._settled = 0
        self._in_kafka = 0
        self._records: deque[Record] = deque()
        self._waiting_since_s: float | None = None
        # Built here and not in the thread, so that a wrong property is an error of the caller.
        self._producer = self._build()
        self._thread = threading.Thread(target=self._run, name="serinus-emitter", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def in_flight(self) -> int:
        """Number of events that were taken from the queue and are neither acknowledged nor dropped."""
        # Not len(producer): that counts librdkafka's own errors and log lines as well.
        return self._taken - self._settled

    def close(self, timeout_s: float) -> None:
        """Stop the thread; whatever was not acknowledged is dropped and counted."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _build(self) -> Producer:
        return build_producer(self._brokers, self._config, log=self._log)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work()
            except Exception as error:
                self._log.warning("sender", f"sending events failed, trying again: {error!r}")
                self._stop.wait(_RETRY_S)
        self._give_up()
        while self._records:
            self._lost(self._records.popleft().events, "closed", "the emitter was closed")

    def _work(self) -> None:
        if not self._records and self._due():
            self._take()
        while self._records:
            if not self._send(self._records[0]):
                self._producer.poll(_IDLE_S)
                return
            self._records.popleft()
        if len(self._queue) >= self._writer.chunk:
            self._producer.poll(0)
            time.sleep(_REST_S)
        elif self.hurry and self.in_flight:
            self._producer.flush(_IDLE_S)
        else:
            self._producer.poll(_IDLE_S)

    def _due(self) -> bool:
        """Whether events have waited long enough for others."""
        waiting = len(self._queue)
        if 0 < waiting < self._writer.chunk and not self.hurry:
            now_s = time.monotonic()
            self._waiting_since_s = self._waiting_since_s or now_s
            if now_s - self._waiting_since_s < self._writer.linger_s:
                return False
        self._waiting_since_s = None
        return waiting > 0

    def _take(self) -> None:
        count = min(len(self._queue), self._writer.chunk, self._limit)
        # Counted before they are taken out: an event is always in the queue or in flight, so flush misses none.
        self._taken += count
        events = [self._queue.popleft() for _ in range(count)]
        written = 0
        for record in self._writer.write(events):
            self._records.append(record)
            written += record.events
        self._settled += count - written

    def _send(self, record: Record) -> bool:
        """Send one record or drop it for good; False if it must wait."""
        if self._in_kafka and self._in_kafka + record.events > self._limit:
            return False
        try:
            self._producer.produce(
                self._topic, record.value, record.key, on_delivery=partial(self._delivered, record.events)
            )
        except BufferError:
            return False
        except KafkaException as error:
            return self._refused(error.args[0], record.events)
        self._in_kafka += record.events
        return True

    def _refused(self, error: KafkaError, events: int) -> bool:
        if not error.fatal():
            self._lost(events, f"kafka:{error.name()}", error.str())
            return True
        # A fatal error (a lost sequence of the idempotent producer) ends this producer, not the emitter.
        self._log.warning("fatal", f"new producer after {error.name()}: {error.str()}")
        self._give_up()
        self._producer = self._build()
        return False

    def _give_up(self) -> None:
        """Settle everything that librdkafka still holds."""
        self._producer.purge()
        self._producer.flush(_PURGE_S)
        self._lost(self._in_kafka, "kafka:unsettled", "the producer ended without an answer")
        self._in_kafka = 0

    def _delivered(self, events: int, error: KafkaError | None, _: Message) -> None:
        self._in_kafka -= events
        if error is None:
            self.sent += events
            self._settled += events
        else:
            self._lost(events, f"kafka:{error.name()}", error.str())

    def _lost(self, events: int, reason: str, text: str) -> None:
        for _ in range(events):
            self._dropped(reason, text)
        self._settled += events
