"""The background half of the emitter: takes events from the queue, encodes them, hands them to librdkafka."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from serinus.event import Arguments, Emitted, EventEncoder, InvalidEventError
from serinus.kafka import Config, KafkaError, KafkaException, Message, Producer, build_producer
from serinus.quiet_log import QuietLog

_CHUNK = 100
"""Events between two rests: so long, about half a millisecond, a request may have to wait for the interpreter lock."""

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
    encoder: makes records of events.
    dropped: called with the reason and a text for each event that will never arrive.
    """

    def __init__(  # noqa: PLR0913 - the wiring of one owner, in one place
        self,
        *,
        brokers: str,
        topic: str,
        config: Config,
        queue: deque[Arguments],
        encoder: EventEncoder,
        dropped: Callable[[str, str], None],
        log: QuietLog,
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._config = config
        self._queue = queue
        self._encoder = encoder
        self._dropped = dropped
        self._log = log
        self._stop = threading.Event()
        self.hurry = False
        self.sent = 0
        self._produced = 0
        self._settled = 0
        # Built here and not in the thread, so that a wrong property is an error of the caller.
        self._producer = self._build()
        self._thread = threading.Thread(target=self._run, name="serinus-emitter", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def in_flight(self) -> int:
        """Number of events that librdkafka holds and the broker has not acknowledged."""
        # Not len(producer): that counts librdkafka's own errors and log lines as well.
        return self._produced - self._settled

    def close(self, timeout_s: float) -> None:
        """Stop the thread; whatever librdkafka still holds is dropped and counted."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _build(self) -> Producer:
        return build_producer(self._brokers, self._config, on_delivery=self._delivered, log=self._log)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work()
            except Exception as error:
                self._log.warning("sender", f"sending events failed, trying again: {error!r}")
                self._stop.wait(_RETRY_S)
        self._give_up()

    def _work(self) -> None:
        for _ in range(_CHUNK):
            if not self._queue:
                break
            if not self._send(self._queue[0]):
                self._producer.poll(_IDLE_S)
                return
            # Taken out only now: an event is always in the queue or in librdkafka, so flush misses none.
            self._queue.popleft()
        if self._queue:
            self._producer.poll(0)
            time.sleep(_REST_S)
        elif self.hurry and self.in_flight:
            self._producer.flush(_IDLE_S)
        else:
            self._producer.poll(_IDLE_S)

    def _send(self, arguments: Arguments) -> bool:
        """Send one event or drop it for good; False if it must wait."""
        try:
            key, record = self._encoder.encode(Emitted(*arguments))
        except InvalidEventError as error:
            self._dropped(error.reason, str(error))
            return True
        except Exception as error:
            self._dropped("invalid_arguments", repr(error))
            return True
        try:
            self._producer.produce(self._topic, record, key)
        except BufferError:
            return False
        except KafkaException as error:
            return self._refused(error.args[0])
        self._produced += 1
        return True

    def _refused(self, error: KafkaError) -> bool:
        if not error.fatal():
            self._dropped(f"kafka:{error.name()}", error.str())
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
        for _ in range(self.in_flight):
            self._settled += 1
            self._dropped("kafka:unsettled", "the producer ended without an answer")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self._dropped(f"kafka:{error.name()}", error.str())
        self._settled += 1
