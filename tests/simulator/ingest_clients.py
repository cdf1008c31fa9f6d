"""The consumer and the producer that ingest gets: confluent-kafka's interface on the modelled broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.basis import Basis
from streams.ingest.bases import Bases
from tests.simulator.broker import Broker, Log, Record

OFFSET_INVALID = -1001
Delivered = Callable[[Any, Any], None]


class ModelConsumer:
    """Reads what it believes to own. It learns of changes when it is polled, as librdkafka's does."""

    def __init__(self, broker: Broker, member: int, properties: dict[str, Any]) -> None:
        self._broker, self._member = broker, member
        self._reset = properties["auto.offset.reset"]
        self._changes: deque[tuple[str, tuple[int, ...]]] = deque()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._topic = ""
        self._callbacks: dict[str, Any] = {}
        self.fetch_max = 0

    # What the scheduler does to it.

    def tell(self, change: str, sources: tuple[int, ...]) -> None:
        """``on_assign``, ``on_revoke`` or ``on_lost``, at the next poll."""
        self._changes.append((change, sources))

    def topic_is_new(self) -> None:
        """The broker no longer knows the topic that was read: reading begins anew."""
        self._positions = dict.fromkeys(self._positions, 0)

    def places(self) -> dict[int, int]:
        """How far it has read."""
        return dict(self._positions)

    # What ingest calls.

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        (self._topic,) = topics
        self._callbacks = callbacks

    def consume(self, _most: int, _timeout_s: float) -> list[Message]:
        while self._changes:
            change, sources = self._changes.popleft()
            self._change(change, sources)
        found: list[Message] = []
        for source in sorted(self._positions.keys() - self._paused):
            log = self._broker.events[source]
            if not log.first <= self._positions[source] <= log.end:
                self._positions[source] = self._start(log)
            while len(found) < self.fetch_max and (record := log.at(self._positions[source])) is not None:
                found.append(self._message(source, record))
                self._positions[source] += 1
        return found

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, source) for source in self._positions]

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        for place in places:
            log = self._broker.events[place.partition]
            known = self._broker.source_commits.get(place.partition)
            if place.offset == OFFSET_BEGINNING:
                self._positions[place.partition] = log.first
            elif place.offset >= 0:
                self._positions[place.partition] = place.offset
            else:
                self._positions[place.partition] = known[0] if known else self._start(log)

    def pause(self, places: list[TopicPartition]) -> None:
        self._paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self._paused -= {place.partition for place in places}

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        for place in offsets:
            if self._broker.owner_of_source.get(place.partition) == self._member:
                self._broker.source_commits[place.partition] = (place.offset, place.metadata or "")
            elif not asynchronous:
                raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        del timeout
        found = []
        for place in places:
            offset, metadata = self._broker.source_commits.get(place.partition, (OFFSET_INVALID, ""))
            found.append(TopicPartition(self._topic, place.partition, offset, metadata))
        return found

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        log = self._broker.events[place.partition]
        return log.first, log.end

    def unsubscribe(self) -> None:
        if self._positions:
            self._change("on_revoke", tuple(self._positions))

    def memberid(self) -> None:
        """It has left at once."""

    def close(self) -> None:
        self.unsubscribe()

    def _start(self, log: Log) -> int:
        return log.first if self._reset == "earliest" else log.end

    def _change(self, change: str, sources: tuple[int, ...]) -> None:
        places = [TopicPartition(self._topic, source) for source in sources]
        self._callbacks[change](self, places)
        if change == "on_assign":
            # As the real one does where the callback has not.
            self.incremental_assign([place for place in places if place.partition not in self._positions])
        else:
            for source in sources:
                self._positions.pop(source, None)
                self._paused.discard(source)

    def _message(self, source: int, record: Record) -> Message:
        kind = TIMESTAMP_LOG_APPEND_TIME if record.broker_time else TIMESTAMP_CREATE_TIME
        return Message(
            topic=self._topic,
            partition=source,
            offset=record.offset,
            key=record.key,
            value=record.value,
            timestamp=(kind, record.log_ms),
        )


class ModelTopicIds:
    """Answers at once. A topic that is deleted and created anew is gone for longer than ingest waits for an answer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ask(self) -> Future[SimpleNamespace]:
        future: Future[SimpleNamespace] = Future()
        future.set_result(SimpleNamespace(topic_id=self._broker.topic_id))
        return future


class ModelBasesReader:
    """Follows the bases of joint gates."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._place = broker, 0
        self._bases = Bases()

    def follow(self) -> Mapping[str, Basis]:
        while (record := self._broker.bases.at(self._place)) is not None:
            self._bases.take((record.key or b"").decode(), record.value)
            self._place += 1
        return self._bases.by_service

    def close(self) -> None:
        pass


class ModelProducer:
    """Idempotent: within a partition in order, each once. When anything is written is the scheduler's choice."""

    def __init__(self, broker: Broker, written: Callable[[int, Record], None], properties: dict[str, Any]) -> None:
        self._broker, self._written = broker, written
        self._gapless, self._stopped = properties["enable.gapless.guarantee"], False
        self._queues: dict[tuple[str, int], deque[tuple[bytes | None, bytes, Delivered]]] = {}
        self._answers: deque[tuple[Delivered, Any, Any]] = deque()

    # What the scheduler does to it.

    def waiting(self) -> list[tuple[str, int]]:
        """The partitions for which records wait."""
        return [place for place, queue in self._queues.items() if queue]

    def write(self, place: tuple[str, int]) -> None:
        """The oldest record for a partition reaches the broker, and its acknowledgement comes back."""
        key, value, done = self._queues[place].popleft()
        topic, partition = place
        if topic == "canary.inputs":
            record = self._broker.inputs[partition].append(self._broker.clock_ms, key, value)
            self._written(partition, record)
        else:
            self._broker.dead.append(self._broker.clock_ms, key, value)
        self._answers.append((done, None, Message(topic=topic)))

    def refuse(self, place: tuple[str, int]) -> None:
        """The broker refuses the oldest record for good. Without the guarantee what waits behind it is written."""
        *_, done = self._queues[place].popleft()
        self._answers.append((done, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), Message(topic=place[0])))
        if self._gapless:
            self._stopped = True
            self.purge()

    # What ingest calls.

    def produce(
        self, topic: str, *, value: bytes, key: bytes | None, on_delivery: Delivered, partition: int = 0
    ) -> None:
        if self._stopped:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        self._queues.setdefault((topic, partition), deque()).append((key, value, on_delivery))

    def poll(self, _timeout_s: float) -> None:
        while self._answers:
            done, error, message = self._answers.popleft()
            done(error, message)

    def flush(self, timeout_s: float) -> int:
        while places := self.waiting():
            self.write(places[0])
        self.poll(timeout_s)
        return 0

    def purge(self, **_: bool) -> None:
        self._queues.clear()
