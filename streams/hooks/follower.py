"""Follows the decisions and has their hooks carried out: each at least once, or given up with a word."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import structlog
from confluent_kafka import KafkaException, TopicPartition

from streams.hooks.courier import Courier
from streams.hooks.metrics import HookMetrics
from streams.hooks.places import Places
from streams.hooks.reading import Reading
from streams.kafka import RateLimit, consumer
from streams.probes import Liveness
from streams.settings import Settings
from streams.topics import DECISIONS

WAITING_MAX = 5_000
"""Deliveries in memory; beyond it reading waits, until targets answer or deliveries are given up."""

_POLL_S = 0.2
_BATCH = 100
_COMMIT_EVERY_S = 0.5
_ASK_S = 10.0

_log = structlog.stdlib.get_logger("serinus.hooks")
_kafka_log = logging.getLogger("serinus.hooks.kafka")
_kafka_log.addFilter(RateLimit())


class Follower:
    """One member of the group that carries hooks out.

    Parameters
    ----------
    from_beginning : a partition of which nothing was committed is read from its first decision, not from what is new.
    """

    def __init__(
        self,
        settings: Settings,
        courier: Courier,
        metrics: HookMetrics,
        liveness: Liveness,
        *,
        from_beginning: bool = False,
    ) -> None:
        self._courier, self._metrics, self._liveness = courier, metrics, liveness
        self._from_beginning = from_beginning
        self._topic = settings.topic(DECISIONS)
        self._reading, self._places = Reading(settings, metrics), Places()
        self._paused = False
        self._commit_s = 0.0
        self._unsaved: dict[int, int] = {}
        self._consumer: Any = consumer(
            settings,
            "serinus-hooks",
            settings.group("hooks"),
            queued_min_messages=1_000,
        )
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set; what is under way then is begun again by whoever comes next."""
        try:
            while not stop.is_set():
                self._turn()
        finally:
            self._consumer.close()  # the revocation is called from here

    def _turn(self) -> None:
        self._liveness.moved()
        self._hold_back()
        for message in self._consumer.consume(_BATCH, _POLL_S):
            error = message.error()
            if error is None:
                self._take(message.value() or b"", (message.partition(), message.offset()))
            else:
                self._complain(error)
        self._settle()
        if time.monotonic() >= self._commit_s:
            self._commit_s = time.monotonic() + _COMMIT_EVERY_S
            self._commit()

    def _take(self, raw: bytes, place: tuple[int, int]) -> None:
        deliveries = self._reading.deliveries(raw, place)
        self._places.begun(*place, len(deliveries))
        for delivery in deliveries:
            self._courier.send(delivery)

    def _settle(self) -> None:
        for delivery in self._courier.ended():
            self._places.ended(*delivery.place)
        self._metrics.waiting(self._places.waiting)

    def _hold_back(self) -> None:
        """Stay in the group while too much waits, and read nothing more."""
        waits = self._places.waiting > WAITING_MAX
        if waits == self._paused:
            return
        self._paused = waits
        if waits:
            self._consumer.pause(self._consumer.assignment())
            _log.warning("too many hooks wait for their targets; reading is paused", waiting=self._places.waiting)
        else:
            self._consumer.resume(self._consumer.assignment())
            _log.info("reading goes on")

    def _commit(self) -> None:
        """Store how far everything was told; what the broker does not take is offered again with the next one."""
        self._unsaved |= self._places.allowed()
        if not self._unsaved:
            return
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in self._unsaved.items()]
        try:
            stored = self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            self._complain(error.args[0])
            return
        failed = [place for place in stored if place.error is not None]
        for place in failed:
            self._complain(place.error)
        self._unsaved = {place.partition: place.offset for place in failed}

    def _assigned(self, client: Any, places: list[TopicPartition]) -> None:
        """Go on where the group has been; where it has not, with what is new, and commit that at once.

        Without the commit a process that ends before the first decision would leave no trace, and the next one would
        pass over what came in between.
        """
        committed = {one.partition: one.offset for one in client.committed(places, timeout=_ASK_S)}
        fresh = {}
        for place in places:
            place.offset = committed.get(place.partition, -1)
            if place.offset < 0:
                low, high = client.get_watermark_offsets(place, timeout=_ASK_S)
                place.offset = fresh[place.partition] = low if self._from_beginning else high
        client.assign(places)
        self._paused = False
        self._unsaved = fresh
        self._commit()
        _log.info("partitions taken", places={place.partition: place.offset for place in places})

    def _revoked(self, _: Any, __: list[TopicPartition]) -> None:
        """Everything is given back: what has ended is committed, the rest is begun anew by its next owner."""
        self._settle()
        self._commit()
        self._forget()

    def _lost(self, _: Any, __: list[TopicPartition]) -> None:
        self._forget()

    def _forget(self) -> None:
        self._courier.drop()
        self._places.clear()
        self._unsaved.clear()
        self._reading.forget()

    def _complain(self, error: Any) -> None:
        if error.fatal():
            raise KafkaException(error)
        _kafka_log.warning("%s: %s", error.name(), error.str())
