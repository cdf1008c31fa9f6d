"""A producer that knows what Kafka has acknowledged: what must be counted, and what may be."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

from confluent_kafka import Producer

from schemas.report import PANE_MS
from serinus import Router
from tests.e2e.pipeline import Pipeline
from tests.e2e.tally import as_json
from tests.e2e.traffic import Arm

SEGMENTS = ("eu", "us", "asia", "africa")
"""One for each source partition, so that the table shows whether all of them are read."""
SHARE_V2 = 0.3
"""Of services without a release."""
_TICK_S = 0.02


class Key(NamedTuple):
    """What is counted by itself."""

    service: str
    version: str
    segment: str
    pane: int


class Load:
    """Events of several services at a steady rate, as JSON, from a thread of its own; a context manager.

    Parameters
    ----------
    canaries : how ``v2`` of each service answers; ``v1`` errs in one request of a hundred.
    routed : services whose requests a real router splits; the others have a fixed share.
    rate_per_s : events a second of all services together.
    """

    def __init__(
        self, running: Pipeline, *, canaries: Mapping[str, Arm], routed: tuple[str, ...], rate_per_s: int, seed: int = 1
    ) -> None:
        brokers, prefix = running.brokers, running.prefix
        self.acknowledged: Counter[Key] = Counter()
        self.unknown: Counter[Key] = Counter()
        self.sent: Counter[tuple[str, str]] = Counter()
        """Per service and segment: how many were given to the producer."""
        self.canaries = dict(canaries)
        self.routers = {
            service: Router(service=service, fallback="v1", brokers=brokers, topic_prefix=prefix) for service in routed
        }
        self._topic = running.topic("inference.events")
        # Without a time limit: an outage must not turn into an error at the producer, and none may be sent twice.
        properties = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": 0, "linger.ms": 20}
        self._producer: Any = Producer({"bootstrap.servers": brokers, "log_level": 0, **properties})
        self._random, self._rate_per_s = random.Random(seed), rate_per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def total(self, service: str) -> int:
        """Events of a service that Kafka has acknowledged."""
        return sum(n for key, n in self.acknowledged.items() if key.service == service)

    def _run(self) -> None:
        began_s, sent, services = time.monotonic(), 0, sorted(self.canaries)
        while not self._stop.wait(_TICK_S):
            due = int((time.monotonic() - began_s) * self._rate_per_s)
            for number in range(sent, due):
                self._send(services[number % len(services)])
            sent = due
            self._producer.poll(0)

    def _send(self, service: str) -> None:
        draw, now_ms = self._random, time.time_ns() // 1_000_000
        if service in self.routers:
            version = self.routers[service].choose(f"user-{draw.randrange(100_000)}")
        else:
            version = "v2" if draw.random() < SHARE_V2 else "v1"
        arm = self.canaries[service] if version == "v2" else Arm()
        partition = draw.randrange(len(SEGMENTS))
        segment = SEGMENTS[partition]
        event = as_json(
            service=service,
            version=version,
            segment=segment,
            ts_ms=now_ms,
            error=draw.random() < arm.error_rate,
            latency_ms=round(arm.latency_ms * draw.lognormvariate(0.0, 0.5), 3),
        )
        key = Key(service, version, segment, now_ms // PANE_MS)
        self.sent[service, segment] += 1
        done = partial(self._delivered, key)
        self._producer.produce(self._topic, event, partition=partition, on_delivery=done)

    def _delivered(self, key: Key, error: object, _message: object) -> None:
        # What was not acknowledged may stand in the log all the same.
        (self.acknowledged if error is None else self.unknown)[key] += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Send no more, and wait until Kafka has acknowledged what was sent."""
        self._stop.set()
        self._thread.join(10)
        waiting = self._producer.flush(120)
        assert waiting == 0, f"{waiting} events were neither acknowledged nor refused within two minutes"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        for router in self.routers.values():
            router.close()
