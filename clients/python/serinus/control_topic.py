"""Follows the control topic in a background thread: all partitions, from the beginning, without a consumer group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from serinus.kafka import (
    Config,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    build_consumer,
    from_beginning,
    partitions_of,
)
from serinus.quiet_log import QuietLog

_METADATA_TIMEOUT_S = 1.0
_POLL_S = 0.1
_RETRY_S = 0.5
_PARTITIONS_EVERY_POLLS = 100
"""New partitions are looked for about every ten seconds."""


class ControlTopic:
    """Hands every record of a topic to a callback, for as long as the process lives or until it is closed.

    A topic that does not exist yet, a broker that is down and a client that broke are retried without end.

    Parameters
    ----------
    brokers: bootstrap servers.
    topic: name of the topic, prefix included.
    config: further librdkafka properties.
    receive: called with (key, value) of each record in the background thread; value None is a tombstone.
    log: where troubles are reported.
    idle: called in the background thread at every look that finds no record, some ten times a second.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        config: Config,
        receive: Callable[[bytes | None, bytes | None], None],
        log: QuietLog,
        *,
        idle: Callable[[], None],
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._config = config
        self._receive = receive
        self._log = log
        self._idle = idle
        self._stop = threading.Event()
        self.connected = False
        # Built here and not in the thread, so that a wrong property is an error of the caller.
        self._consumer = self._build()
        self._thread = threading.Thread(target=self._run, name="serinus-router", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Stop the thread and leave the broker; gives up waiting after the timeout."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _build(self) -> Consumer:
        return build_consumer(self._brokers, self._config, log=self._log)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow(self._consumer)
            except Exception as error:
                self._log.warning("follow", f"following {self._topic} failed, trying again: {error!r}")
                self._stop.wait(_RETRY_S)
                self._renew_consumer()
        with suppress(RuntimeError):  # already closed, when no new one could be built
            self._consumer.close()

    def _renew_consumer(self) -> None:
        try:
            self._consumer.close()
            self._consumer = self._build()
        except (KafkaException, RuntimeError, ValueError) as error:
            self._log.warning("rebuild", f"no new consumer for {self._topic}: {error!r}")

    def _follow(self, consumer: Consumer) -> None:
        assigned: list[int] = []
        polls = 0
        while not self._stop.is_set():
            if not assigned or polls >= _PARTITIONS_EVERY_POLLS:
                assigned, polls = self._assign_new(consumer, assigned), 0
            message = consumer.poll(_POLL_S)
            # Counted only when idle: a backlog is read first.
            polls += message is None
            if message is None:
                self._idle()
            if message is not None and not self._take(message):
                assigned = []

    def _assign_new(self, consumer: Consumer, assigned: list[int]) -> list[int]:
        try:
            partitions = partitions_of(consumer, self._topic, _METADATA_TIMEOUT_S)
        except KafkaException as error:
            self.connected = False
            self._log.warning("metadata", f"Kafka at {self._brokers} does not answer, trying again: {error}")
            return assigned
        new = [partition for partition in partitions if partition not in assigned]
        if not partitions:
            self._log.warning("no topic", f"topic {self._topic} does not exist yet at {self._brokers}, waiting for it")
            self._stop.wait(_RETRY_S)
        if new and not assigned:
            consumer.assign(from_beginning(self._topic, new))
        elif new:
            consumer.incremental_assign(from_beginning(self._topic, new))
        self.connected = bool(partitions)
        return sorted({*assigned, *new})

    def _take(self, message: Message) -> bool:
        """Hand a record on; False if the topic must be looked up anew."""
        error = message.error()
        if error is None:
            self._receive(_as_bytes(message.key()), _as_bytes(message.value()))
            return True
        self._log.warning(error.name(), f"reading {self._topic}: {error.name()}: {error.str()}")
        if error.fatal():
            raise KafkaException(error)
        return error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART


def _as_bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
