"""The emitter: one small event per answered request, without slowing the request down."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from serinus import forks
from serinus.clocks import Clock
from serinus.event import FORCED_SUFFIX, Arguments, EventEncoder
from serinus.kafka import Config, check_brokers
from serinus.quiet_log import QuietLog
from serinus.records import JsonWriter, PackWriter, Writer
from serinus.request import Request
from serinus.sender import Sender

EVENTS_TOPIC = "inference.events"
_FLUSH_STEP_S = 0.005
_AT_EXIT_S = 1.0
_STOP_S = 2.0


@dataclass(frozen=True)
class EmitterStats:
    """Where the emitted events are; the four numbers add up to all of them.

    Parameters
    ----------
    queued: waiting for the background thread.
    in_flight: taken by the background thread, not acknowledged yet.
    sent: acknowledged by the broker.
    dropped: will never arrive, by reason: ``queue_full``, ``closed``, ``invalid_<argument>``, ``too_large``,
        ``kafka:<error>``.
    """

    queued: int
    in_flight: int
    sent: int
    dropped: dict[str, int]


class Emitter:
    """Sends the events of one service in the background.

    `emit` puts the event on a bounded queue and returns: it takes no lock, does no I/O, waits for nothing, and an
    argument that cannot be used is counted and logged, never raised. Events beyond the bound are dropped and counted.

    Parameters
    ----------
    service: name of the service.
    brokers: bootstrap servers. A broker that is down is no error: events wait, up to the bound.
    config: further librdkafka properties, such as ``security.protocol`` or ``acks``.
    topic_prefix: put before ``inference.events``.
    unit_key: key of the hash that hides unit ids, 1 to 64 bytes, the same for all processes of a service. Without
        it the ids are pseudonymous, not secret: whoever can guess an id can test the guess.
    queue_size: bound of the queue, events; librdkafka holds as many again.
    records: ``"packed"``: the events of a tenth of a second share a record (docs/packed.md). ``"json"``: each has its
        own, sent at once, with the unit as key.
    start: False: only queue until `start` is called.
    clock: wall and monotonic clock.

    Raises
    ------
    ValueError: an empty service or broker list, a wrong key or bound, a property that librdkafka refuses.

    Examples
    --------
    >>> emitter = Emitter(service="chat", brokers="127.0.0.1:1", start=False)
    >>> emitter.emit(version="v2", latency_ms=181.5, values={"tokens_out": 41}, segment="eu", unit="user-1")
    >>> emitter.stats().queued, emitter.close(timeout_s=0), emitter.stats().dropped
    (1, 1, {'closed': 1})
    """

    def __init__(  # noqa: PLR0913 - all keyword-only; each one is a thing that an owner sets on its own
        self,
        *,
        service: str,
        brokers: str,
        config: Config | None = None,
        topic_prefix: str = "",
        unit_key: bytes | None = None,
        queue_size: int = 10_000,
        records: Literal["packed", "json"] = "packed",
        start: bool = True,
        clock: Clock | None = None,
    ) -> None:
        if not isinstance(service, str) or not 1 <= len(service) <= 256:
            raise ValueError(f"service is {service!r}; expected a name of 1 to 256 characters")
        if not isinstance(queue_size, int) or queue_size < 1:
            raise ValueError(f"queue_size is {queue_size!r}; expected an integer >= 1")
        if records not in ("packed", "json"):
            raise ValueError(f"records is {records!r}; expected 'packed' or 'json'")
        clock = clock or Clock()
        self.service = service
        self.topic = topic_prefix + EVENTS_TOPIC
        self._brokers = check_brokers(brokers)
        self._config: Config = {"queue.buffering.max.messages": queue_size, **(config or {})}
        self._encoder = EventEncoder(service, unit_key)
        self._limit = queue_size
        self._now_ms = clock.now_ms
        self._writer: Writer = (
            PackWriter(service, self._encoder, self._drop, clock.now_ms)
            if records == "packed"
            else JsonWriter(self._encoder, self._drop)
        )
        self.monotonic_s = clock.monotonic_s
        self._log = QuietLog()
        self._closed = False
        self._started = False
        self._start_on_emit = False
        # Reentrant: a signal handler or a destructor may emit while this very thread is dropping.
        self._lock = threading.RLock()
        self._dropped: dict[str, int] = {}
        self._queue: deque[Arguments] = deque()
        self._sender: Sender | None = self._build()
        if start:
            self.start()
        forks.watch(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def start(self) -> None:
        """Start to send; a second call does nothing."""
        with self._lock:
            if not self._started:
                self._started = True
                self._sender = self._sender or self._build()
                self._sender.start()

    def emit(  # noqa: PLR0913 - the fields of one event, all keyword-only
        self,
        *,
        version: str,
        latency_ms: float | None = None,
        error: bool = False,
        values: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        segment: str = "",
        unit: str | None = None,
        epoch: int | None = None,
        bucket: int | None = None,
        forced: bool = False,
        shadow: bool = False,
        kind: str = "request",
        ts_ms: int | None = None,
    ) -> None:
        """Queue one event. Never blocks and never raises for what an argument holds.

        Parameters
        ----------
        version: the version that answered.
        latency_ms: >= 0. Of feedback its delay: the time since the request was answered.
        error: whether the request failed.
        values: numeric metrics, finite. labels: categorical outputs. Both are copied.
        segment: the slice of users.
        unit: the sticky unit; only a keyed hash of it leaves the process.
        epoch, bucket, forced: from `Router.route`. A forced version is counted apart, as ``"v2:forced"``.
        shadow: this was a copy and its answer is not used. It is judged like any other, and no part of the split: the
            event carries neither epoch nor bucket.
        kind: ``"request"`` or ``"feedback"``.
        ts_ms: event time, Unix ms; default now.
        """
        queue = self._queue
        try:
            if self._closed:
                self._drop("closed")
            elif len(queue) >= self._limit:
                self._drop("queue_full")
            else:
                # A plain tuple in the order of `Emitted`: making that here would cost a third of the call.
                queue.append(
                    (
                        version + FORCED_SUFFIX if forced else version,
                        self._now_ms() if ts_ms is None else ts_ms,
                        kind,
                        error,
                        latency_ms,
                        dict(values) if values else None,
                        dict(labels) if labels else None,
                        segment,
                        unit,
                        None if shadow else epoch,
                        None if shadow else bucket,
                    )
                )
                if self._start_on_emit:
                    self._restart()
        except Exception as problem:
            self._drop("invalid_arguments", repr(problem))

    def request(  # noqa: PLR0913 - as of emit
        self,
        *,
        version: str,
        segment: str = "",
        unit: str | None = None,
        epoch: int | None = None,
        bucket: int | None = None,
        forced: bool = False,
        shadow: bool = False,
    ) -> Request:
        """Return a context manager that measures one request and emits its event; see `Request`.

        Parameters
        ----------
        version, segment, unit, epoch, bucket, forced, shadow: as of `emit`.
        """
        return Request(self, version, (segment, unit, epoch, bucket, forced, shadow))

    def stats(self) -> EmitterStats:
        """Return where the events are; the parts are read one after another while sending goes on."""
        with self._lock:
            dropped = dict(self._dropped)
        sender = self._sender
        return EmitterStats(len(self._queue), self._in_flight(), sender.sent if sender else 0, dropped)

    def flush(self, timeout_s: float = 5.0) -> int:
        """Wait until everything is acknowledged or dropped; return the number of events that still are not.

        Blocks: in an asyncio service, call it by ``asyncio.to_thread``.
        """
        deadline_s = time.monotonic() + timeout_s
        self._hurry(True)
        while (waiting := len(self._queue) + self._in_flight()) and time.monotonic() < deadline_s:
            time.sleep(_FLUSH_STEP_S)
        self._hurry(False)
        return waiting

    def close(self, timeout_s: float = 5.0) -> int:
        """Flush, stop, and return the number of events that were lost; later events are dropped and counted."""
        if self._closed:
            return 0
        self._closed = True
        lost = self.flush(timeout_s) if self._started else len(self._queue)
        if self._sender is not None:
            self._sender.close(_STOP_S)
        while self._queue:
            self._queue.popleft()
            self._drop("closed")
        return lost

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """Runs in a forked child: the parent sends what was queued, the first event here starts a new thread."""
        forks.abandon(self._sender)
        self._sender = None
        self._start_on_emit = self._started and not self._closed
        self._queue = deque()
        self._lock = threading.RLock()
        self._dropped = {}

    def _build(self) -> Sender:
        return Sender(
            brokers=self._brokers,
            topic=self.topic,
            config=self._config,
            queue=self._queue,
            limit=self._limit,
            writer=self._writer,
            dropped=self._drop,
            log=self._log,
        )

    def _in_flight(self) -> int:
        return self._sender.in_flight if self._sender else 0

    def _hurry(self, hurry: bool) -> None:
        if self._sender is not None:
            self._sender.hurry = hurry

    def _restart(self) -> None:
        with self._lock:
            if self._start_on_emit:
                self._start_on_emit = False
                self._sender = self._build()
                self._sender.start()

    def _drop(self, reason: str, text: str = "") -> None:
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + 1
        self._log.warning(reason, f"an event of {self.service} was dropped: {text or reason}")


def _close_at_exit(reference: weakref.ref[Emitter]) -> None:
    emitter = reference()
    if emitter is not None:
        emitter.close(_AT_EXIT_S)
