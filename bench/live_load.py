"""A load that is cheap to make: real packs of the real client, made once and sent many times at a steady pace.

Emitter and router in Python take some microseconds an event, and a load of 50,000 a second would take the cores that
are to be measured. So each service has some packs of what the real router says, packed by the client's packer, made
anew when the route or the traffic changes. What is sent is one of them with the time of now. A service in release with
little traffic has a new pack each time: of a few events that come again and again, a difference is no chance.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec
from confluent_kafka import Producer

from serinus import Router
from serinus.event import Emitted, EventEncoder
from serinus.packer import PREFIX, Packer
from streams.topics import EVENTS
from tests.e2e.pipeline import Pipeline

PACK_S = 0.1
"""As often as the client sends."""

PACKS_MADE = 8
FRESH_PER_S = 200.0
"""Up to this many requests a second each event of a service in release is a new one."""
SEGMENTS = ("eu", "us", "ap", "af")


class Service:
    """The traffic of one service.

    Parameters
    ----------
    name, rate_per_s : requests a second.
    routed : whether a router of its own splits it; otherwise all of it is the baseline's, a tenth the canary's.
    """

    def __init__(self, running: Pipeline, name: str, rate_per_s: float, *, routed: bool) -> None:
        self.name, self.rate_per_s = name, rate_per_s
        brokers, prefix = running.brokers, running.prefix
        self.router = Router(service=name, fallback="v1", brokers=brokers, topic_prefix=prefix) if routed else None
        self.canary_error_rate = 0.01
        self._encoder = EventEncoder(name)
        self._packer = Packer(name, self._encoder.hash_unit)
        self._random = random.Random(name)
        self._made: list[tuple[dict[str, Any], list[Emitted]]] = []
        self._of: object = None
        self._owed = self._random.random()

    def due(self, now_ms: int, *, plain: bool = False) -> tuple[list[bytes], int] | None:
        """The records of the last tenth of a second and how many events they have; None when there were none.

        With ``plain`` each event is a record of its own, in JSON.
        """
        self._owed += self.rate_per_s * PACK_S
        of = (self.router.state().epoch if self.router else None, self.canary_error_rate)
        if of != self._of:
            self._of, self._made = of, []
        if self.router and self.rate_per_s <= FRESH_PER_S:
            self._made.clear()
        if len(self._made) < PACKS_MADE and self._owed >= 1:
            events = [self._event() for _ in range(int(self._owed))]
            columns = msgspec.msgpack.decode(self._packer.pack(events)[len(PREFIX) :])
            self._made.append((columns, events))
        if self._owed < 1:
            return None
        columns, events = self._random.choice(self._made)
        self._owed -= len(events)
        began_ms = now_ms - int(1000 * PACK_S)
        if plain:
            return [self._encoder.encode(one._replace(ts_ms=began_ms + one.ts_ms))[1] for one in events], len(events)
        columns["base_ms"] = began_ms
        return [PREFIX + msgspec.msgpack.encode(columns)], len(events)

    def _event(self) -> Emitted:
        draw = self._random
        unit = f"user-{draw.randrange(100_000)}"
        version, epoch, bucket = (
            self.router.route(unit)[:3] if self.router else ("v2" if draw.random() < 0.1 else "v1", None, None)
        )
        rate = self.canary_error_rate if version == "v2" else 0.01
        return Emitted(
            version,
            draw.randrange(int(1000 * PACK_S)),
            "request",
            draw.random() < rate,
            round(draw.lognormvariate(5.2, 0.5), 2),
            {"tokens_out": float(draw.randrange(1, 900))},
            {"finish_reason": "stop" if draw.random() < 0.9 else "length"},
            draw.choice(SEGMENTS),
            unit if self.router else None,
            epoch,
            bucket,
        )

    def close(self) -> None:
        if self.router:
            self.router.close()


class Load:
    """All services from one thread; a context manager.

    Parameters
    ----------
    services : whose.

    Attributes
    ----------
    events : sent so far.
    late_s : how much later than due something was sent, at most.
    plain : whether JSON is sent from now on.
    """

    def __init__(self, running: Pipeline, services: list[Service]) -> None:
        self.services, self.events, self.late_s, self.plain = services, 0, 0.0, False
        self._topic = running.topic(EVENTS)
        self._producer: Any = Producer(
            {"bootstrap.servers": running.brokers, "linger.ms": 5, "compression.type": "lz4", "acks": "all"}
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._failed: BaseException | None = None

    def _run(self) -> None:
        try:
            self._send(self._stop.is_set)
        except BaseException as error:
            self._failed = error
            raise

    def _send(self, stopped: Callable[[], bool]) -> None:
        began_s, turn, partitions = time.monotonic(), 0, random.Random(1)
        # Services do not send all at the same moment.
        slots = 10
        while not stopped():
            turn += 1
            due_s = began_s + turn * PACK_S / slots
            time.sleep(max(0.0, due_s - time.monotonic()))
            self.late_s = max(self.late_s, time.monotonic() - due_s)
            now_ms = time.time_ns() // 1_000_000
            for service in self.services[turn % slots :: slots]:
                found = service.due(now_ms, plain=self.plain)
                if found is not None:
                    for record in found[0]:
                        self._producer.produce(self._topic, record, partition=partitions.randrange(4))
                    self.events += found[1]
            self._producer.poll(0)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        left = self._producer.flush(30)
        for service in self.services:
            service.close()
        assert kind is not None or (self._failed is None and left == 0), (
            f"the load failed: {self._failed}, {left} unsent"
        )
