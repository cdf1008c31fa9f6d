"""The producer side of ingest: everything is acknowledged by all replicas, or the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from streams.ingest.bounds import REPORT_BYTES_MAX
from streams.ingest.settings import IngestSettings

_WAIT_S: Final = 0.1

_GAPLESS: Final = True
"""A report behind a refused one would close the slice that is missing: the worker would take its end for all of it."""


class DeliveryError(Exception):
    """The broker refused a record for good. Nothing may be committed any more."""


class KafkaOutbox:
    """An idempotent producer without a time limit: while the broker is away, records wait in memory.

    How many wait is bounded by the loop, which stops reading above :attr:`waiting_bytes`.
    """

    def __init__(self, settings: IngestSettings, on_acknowledged: Callable[[int], None]) -> None:
        self._producer: Any = Producer(
            {
                **settings.kafka,
                "enable.idempotence": True,
                "enable.gapless.guarantee": _GAPLESS,
                "acks": "all",
                "message.timeout.ms": 0,
                "linger.ms": 2,
                "compression.type": "lz4",
                "message.max.bytes": REPORT_BYTES_MAX + 64 * 1024,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 512 * 1024,
                "partitioner": "murmur2_random",
            }
        )
        self._on_acknowledged = on_acknowledged
        self._failure: str | None = None
        self.waiting_bytes = 0
        self._waiting = 0
        self._heard_s = self._slowest_s = 0.0

    def silent_s(self) -> float:
        """For how long the broker has acknowledged nothing although something waits for it; 0 while nothing does."""
        return time.monotonic() - self._heard_s if self._waiting else 0.0

    def slowest_s(self) -> float:
        """The longest that an acknowledgement took since this was asked last; 0 without any."""
        slowest_s, self._slowest_s = self._slowest_s, 0.0
        return slowest_s

    def send(self, topic: str, value: bytes, *, number: int, partition: int | None, key: bytes | None) -> None:
        """Queue one record; waits while the producer's own queue is full.

        Raises
        ------
        DeliveryError : when this or an earlier record was refused for good.
        """
        options: dict[str, Any] = {} if partition is None else {"partition": partition}
        done = partial(self._delivered, number, len(value), time.monotonic())
        while True:
            self.poll(0)
            try:
                self._producer.produce(topic, value=value, key=key, on_delivery=done, **options)
            except BufferError:
                self.poll(_WAIT_S)
            except KafkaException as error:
                raise DeliveryError(f"{topic}: {error.args[0]}") from error
            else:
                if not self._waiting:
                    self._heard_s = time.monotonic()
                self._waiting += 1
                self.waiting_bytes += len(value)
                return

    def poll(self, timeout_s: float) -> None:
        """Serve acknowledgements.

        Raises
        ------
        DeliveryError : at the first record that was refused for good.
        """
        self._served(self._producer.poll, timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait for all acknowledgements; False when some are missing at the end of the time."""
        return self._served(self._producer.flush, timeout_s) == 0

    def abandon(self) -> None:
        """Drop what waits: nothing behind it was committed, so another process sends it again."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)

    def _served(self, work: Callable[[float], int], timeout_s: float) -> int:
        try:
            left = work(timeout_s)
        except KafkaException as error:
            raise DeliveryError(self._failure or str(error.args[0])) from error
        if self._failure is not None:
            raise DeliveryError(self._failure)
        return left

    def _delivered(self, number: int, size: int, sent_s: float, error: Any, message: Any) -> None:
        self._waiting -= 1
        self._heard_s = time.monotonic()
        self._slowest_s = max(self._slowest_s, self._heard_s - sent_s)
        self.waiting_bytes -= size
        if error is None:
            self._on_acknowledged(number)
        elif self._failure is None:
            self._failure = f"{message.topic()}: {error}"
