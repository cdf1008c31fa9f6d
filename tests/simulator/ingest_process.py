"""One ingest process: the real loop on modelled clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from confluent_kafka import KafkaException

from streams.ingest import loop, outbox
from streams.ingest.loop import IngestLoop
from streams.ingest.metrics import IngestMetrics
from streams.ingest.outbox import DeliveryError
from streams.ingest.settings import IngestSettings
from streams.ingest.source import CreateTimeError
from streams.ingest.topic_identity import TopicReplacedError
from streams.probes import Liveness
from tests.simulator.broker import INPUT_PARTITIONS, Broker, Record
from tests.simulator.ingest_clients import ModelBasesReader, ModelConsumer, ModelProducer, ModelTopicIds

SETTINGS = IngestSettings(kafka={}, input_partitions=INPUT_PARTITIONS)


class ModelTime:
    """In place of the module ``time``. The wall clock is the process's own and wrong by ``skew_ms``."""

    def __init__(self, broker: Broker, skew_ms: int) -> None:
        self._broker, self._skew_ms = broker, skew_ms

    def monotonic(self) -> float:
        return self._broker.elapsed_s

    def time(self) -> float:
        return self.time_ns() / 1e9

    def time_ns(self) -> int:
        return (self._broker.clock_ms + self._skew_ms) * 1_000_000


class IngestProcess:
    """From its start to its end. ``ended`` says why, once it has."""

    def __init__(self, broker: Broker, member: int, written: Callable[[int, Record], None], *, skew_ms: int) -> None:
        self.member = member
        self.ended: str | None = None
        self.believes: set[int] = set()
        self.time = ModelTime(broker, skew_ms)
        self.consumer: Any = None
        self.producer: Any = None

        def consumer(properties: dict[str, Any]) -> ModelConsumer:
            self.consumer = made = ModelConsumer(broker, member, properties)
            return made

        def producer(properties: dict[str, Any]) -> ModelProducer:
            self.producer = made = ModelProducer(broker, written, properties)
            return made

        with (
            mock.patch.object(loop, "Consumer", consumer),
            mock.patch.object(outbox, "Producer", producer),
            mock.patch.object(loop, "BasesReader", lambda _settings: ModelBasesReader(broker)),
            mock.patch.object(loop, "TopicIds", lambda _settings: ModelTopicIds(broker)),
            mock.patch.object(loop, "time", self.time),
        ):
            self._loop = IngestLoop(SETTINGS, broker.topic_id, IngestMetrics(), Liveness())

    def turn(self, fetch_max: int) -> None:
        """One turn of the loop; what ends the real process ends this one."""
        self.consumer.fetch_max = fetch_max
        self._guarded(self._loop.turn)

    def tell(self, change: str, sources: tuple[int, ...]) -> None:
        """The coordinator says ``on_assign``, ``on_revoke`` or ``on_lost``; a revocation is answered at once."""
        if not sources or self.ended is not None:
            return
        self.believes = self.believes | set(sources) if change == "on_assign" else self.believes - set(sources)
        self.consumer.tell(change, sources)
        if change == "on_revoke":
            self.turn(0)

    def stop(self) -> None:
        """An orderly stop, with a broker that answers."""
        self._guarded(self._loop.finish)
        if self.ended is None:
            self.ended = "stopped"
            self._close()

    def crash(self) -> None:
        """Gone between two instructions."""
        self.ended = "crashed"

    def _guarded(self, action: Any) -> None:
        try:
            with mock.patch.object(loop, "time", self.time):
                action()
        except (CreateTimeError, DeliveryError, KafkaException, TopicReplacedError, ValueError) as error:
            self.ended = f"{type(error).__name__}: {error}"
            self._close()

    def _close(self) -> None:
        with mock.patch.object(loop, "time", self.time):
            self._loop.close()
