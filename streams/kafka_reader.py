"""Reading partitions of a topic without a consumer group: from anywhere to the end, and on from there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.kafka import UnreachableError, consumer
from streams.settings import Settings

TIMEOUT_S = 15.0
RETRY_S = 0.2

_PASSING = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._DESTROY_BROKER,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}
"""What a topic that was made a moment ago, or whose leader is moving, answers for a while. `retriable()` says no.
``_DESTROY_BROKER`` is what a client says of a broker that has just left the cluster."""


class Reader:
    """Reads the given partitions of one topic from the given offsets; a context manager.

    Parameters
    ----------
    starts : partition -> first offset to read. An offset that is gone is taken as the oldest one there is.
    """

    def __init__(self, settings: Settings, topic: str, starts: Mapping[int, int]) -> None:
        self.topic = topic
        self._where = f"{topic} at {settings.brokers}"
        self._behind = set(starts)
        self._consumer = consumer(
            settings,
            "serinus-reader",
            settings.group("reader"),
            enable_partition_eof=True,
            queued_min_messages=1000,
            # The end of a partition is told only after this wait.
            fetch_wait_max_ms=100,
        )
        self._consumer.assign([TopicPartition(topic, number, offset) for number, offset in starts.items()])

    @property
    def caught_up(self) -> bool:
        """Whether the end of every partition was reached once."""
        return not self._behind

    def poll(self, timeout_s: float) -> list[Message]:
        """The next records, up to 500; none after ``timeout_s``. Raises UnreachableError on a lasting failure."""
        records = []
        for message in self._consumer.consume(500, timeout_s if self.caught_up else min(timeout_s, 0.05)):
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._behind.discard(message.partition() or 0)
            elif error.fatal() or error.code() not in _PASSING:
                raise UnreachableError(f"{self._where}: {error.str()}")
        return records

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def bounds(settings: Settings, topic: str, timeout_s: float = TIMEOUT_S) -> dict[int, tuple[int, int]]:
    """The first offset and the one after the last, of each partition of a topic.

    Raises
    ------
    UnreachableError : the broker does not answer in time, or has no such topic.
    """
    client = consumer(settings, "serinus-reader", settings.group("reader"))
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                return _bounds(client, settings, topic, timeout_s)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                    raise UnreachableError(f"{topic} at {settings.brokers}: {error.args[0].str()}") from error
            time.sleep(RETRY_S)
    finally:
        client.close()


def _bounds(client: Consumer, settings: Settings, topic: str, timeout_s: float) -> dict[int, tuple[int, int]]:
    found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(found.error)
    if found.error is not None or not found.partitions:
        raise UnreachableError(f"Kafka at {settings.brokers} has no topic {topic}; `serinus topics create` makes it")
    return {
        number: client.get_watermark_offsets(TopicPartition(topic, number), timeout=timeout_s)
        for number in found.partitions
    }


def read_to_end(settings: Settings, topic: str, timeout_s: float = TIMEOUT_S) -> list[Message]:
    """Every record that a topic holds now, in the order of each partition: for compacted topics.

    Raises
    ------
    UnreachableError : the broker does not answer in time, or has no such topic.
    """
    starts = {number: low for number, (low, _) in bounds(settings, topic, timeout_s).items()}
    deadline = time.monotonic() + timeout_s
    records: list[Message] = []
    with Reader(settings, topic, starts) as reader:
        while not reader.caught_up:
            records += reader.poll(1.0)
            if time.monotonic() > deadline:
                raise UnreachableError(f"{topic} at {settings.brokers}: not read to its end within {timeout_s:.0f} s")
    return records
