"""The router: which version answers this request, now."""

from __future__ import annotations

import random
import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import Self

from msgspec import to_builtins

from serinus import forks
from serinus.choice import Choice
from serinus.clocks import Clock
from serinus.control_topic import ControlTopic
from serinus.kafka import Config, check_brokers
from serinus.lease import Lease, Outcome, Snapshot
from serinus.quiet_log import QuietLog
from serinus.route import MAX_LEASE_MS, Route, splits_of
from serinus.router_state import RouterState
from serinus.segment import Attributes, segment_of
from serinus.splitter import BUCKETS, bucket_of

CONTROL_TOPIC = "canary.control"


class Router:
    """Follows the routes of one service and splits its requests by them.

    Until a valid route arrives, and as soon as its lease has run out, every request goes to the fallback.
    `choose` and `route` read an immutable snapshot: they take no lock, do no I/O and never raise.

    Parameters
    ----------
    brokers: bootstrap servers; None for a router that is fed by `apply`.
    service: the service whose requests are split.
    fallback: version that answers while there is no route.
    config: further librdkafka properties, such as ``security.protocol``.
    topic_prefix: put before ``canary.control``.
    start: False: do not follow Kafka yet; `start` does.
    on_change: called with the state when another decision's route is in force, or none any more; not at renewals. One
        call at a time, in the background thread or in that of `apply`; in asyncio hand the state on by
        ``loop.call_soon_threadsafe``. What it raises is logged.
    clock: wall and monotonic clock.

    Raises
    ------
    ValueError: an empty service or fallback, no broker list where one is needed, a property that librdkafka refuses.

    Examples
    --------
    >>> router = Router(service="chat", fallback="v1")
    >>> router.choose("user-1")
    'v1'
    """

    def __init__(  # noqa: PLR0913 - all keyword-only; each one is a thing that an owner sets on its own
        self,
        *,
        service: str,
        fallback: str,
        brokers: str | None = None,
        config: Config | None = None,
        topic_prefix: str = "",
        start: bool = True,
        on_change: Callable[[RouterState], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        for name, value in (("service", service), ("fallback", fallback)):
            if not isinstance(value, str) or not 1 <= len(value) <= 256:
                raise ValueError(f"{name} is {value!r}; expected a name of 1 to 256 characters")
        clock = clock or Clock()
        self.service = service
        self.topic = topic_prefix + CONTROL_TOPIC
        self._brokers = None if brokers is None else check_brokers(brokers)
        self._config: Config = dict(config or {})
        self._clock = clock
        self._now_ms, self._monotonic_s = clock.now_ms, clock.monotonic_s
        self._log = QuietLog()
        self._lease = Lease(service, fallback, clock)
        self._following: ControlTopic | None = None
        self._start_lock = threading.Lock()
        self._on_change = on_change
        self._change_lock = threading.RLock()
        self._told: int | None = None
        self._start_on_choose = False
        self._choose_failures = 0
        forks.watch(self)
        if start and self._brokers is not None:
            self.start()

    @classmethod
    def static(cls, weights_ppm: dict[str, int], *, fallback: str, service: str = "static", salt: str = "") -> Self:
        """Return a router with fixed shares and no Kafka, for tests and for development.

        Its lease never runs out, so it is not for canaries that nobody watches.

        Parameters
        ----------
        weights_ppm: share of each version, ppm, summing to 1,000,000.
        fallback: version that owns what the others leave.
        service, salt: as of a route.

        Raises
        ------
        ValueError: shares that do not sum to 1,000,000.

        Examples
        --------
        >>> Router.static({"v1": 0, "v2": 1_000_000}, fallback="v1").choose("user-1")
        'v2'
        """
        router = cls(service=service, fallback=fallback)
        route = Route(service, 0, weights_ppm, fallback, salt, 0, MAX_LEASE_MS)
        by_segment, default = splits_of(route)
        ever = float("inf")
        named = frozenset(weights_ppm)
        router._lease.snapshot = Snapshot(fallback, salt, by_segment, default, ever, ever, route, forceable=named)
        return router

    def start(self) -> None:
        """Begin to follow the control topic; a second call does nothing. Raises ValueError without brokers."""
        if self._brokers is None:
            raise ValueError("brokers is None; expected 'host:port,host:port' to follow the control topic")
        with self._start_lock:
            if self._following is not None:
                return
            self._following = ControlTopic(
                self._brokers, self.topic, self._config, self._on_record, self._log, idle=self._tell
            )

    def choose(
        self,
        unit: str | None = None,
        *,
        segment: str = "",
        attributes: Attributes | None = None,
        forced: str | None = None,
    ) -> str:
        """Return the version that answers this request: `route` without what its event should carry."""
        return self.route(unit, segment=segment, attributes=attributes, forced=forced).version

    def route(
        self,
        unit: str | None = None,
        *,
        segment: str = "",
        attributes: Attributes | None = None,
        forced: str | None = None,
    ) -> Choice:
        """Return the version that answers this request, together with what its event should carry.

        Parameters
        ----------
        unit: the sticky unit, usually a user id; the same unit gets the same version. None or empty: at random.
        segment: the slice of users that the request belongs to, where the service knows it.
        attributes: what else is known of the request; without a segment the plan's `segments` name it by them.
        forced: the version that a tester asks for, from a header that the service trusts. It answers if the route in
            force names it and its release goes on; otherwise the request is split like any other.

        Examples
        --------
        >>> router = Router.static({"v1": 500_000, "v2": 500_000}, fallback="v1", salt="s")
        >>> router.route("u", segment="eu")
        Choice(version='v1', epoch=0, bucket=532875, segment='eu', forced=False, shadow=None)
        >>> router.route("u", forced="v2")
        Choice(version='v2', epoch=0, bucket=None, segment='', forced=True, shadow=None)
        """
        snapshot = self._lease.snapshot
        try:
            if self._start_on_choose:
                self._restart()
            if attributes and not segment:
                segment = segment_of(snapshot.segments, attributes)
            if self._monotonic_s() >= snapshot.valid_until_s or self._now_ms() >= snapshot.valid_until_ms:
                return Choice(snapshot.fallback, None, None, segment)
            if forced is not None and forced in snapshot.forceable:
                return Choice(forced, snapshot.epoch, None, segment, True)
            split = snapshot.by_segment.get(segment, snapshot.default)
            bucket = bucket_of(snapshot.salt, unit) if unit else int(random.random() * BUCKETS)
            version = split.versions[bisect_right(split.bounds, bucket)]
            if snapshot.shadows is None:
                return Choice(version, snapshot.epoch, bucket, segment)
            copied_to = snapshot.shadows.version_of(bucket)
            shadow = copied_to if copied_to not in {version, snapshot.fallback} else None
            return Choice(version, snapshot.epoch, bucket, segment, False, shadow)
        except Exception as error:
            return self._failed(error, snapshot)

    def apply(self, record: bytes | None) -> Outcome:
        """Take a route that came by another way than Kafka; None takes the route back.

        Returns
        -------
        `Outcome.APPLIED` if the route is in force now, else why it was dropped.
        """
        return self._receive(None, record)

    def state(self) -> RouterState:
        """Return what a health page shows; a consistent view of one moment."""
        snapshot = self._lease.snapshot
        route = snapshot.route
        by_monotonic_ms = (snapshot.valid_until_s - self._monotonic_s()) * 1000
        remaining_ms = min(by_monotonic_ms, snapshot.valid_until_ms - self._now_ms(), MAX_LEASE_MS)
        return RouterState(
            service=self.service,
            fallback=snapshot.fallback,
            topic=self.topic,
            on_fallback=remaining_ms <= 0,
            reason=self._reason(snapshot) if remaining_ms <= 0 else "",
            epoch=snapshot.epoch,
            release_id=route.release_id if route else "",
            release_state=route.state if route else "",
            weights_ppm=dict(route.weights_ppm) if route else {},
            lease_remaining_ms=int(max(0, remaining_ms)),
            connected=self._following is not None and self._following.connected,
            records=dict(self._lease.counts),
            choose_failures=self._choose_failures,
            last_error=self._lease.last_error,
            salt=route.salt if route else "",
            rules=tuple(to_builtins(rule) for rule in route.rules) if route else (),
            segments=tuple(to_builtins(segment) for segment in route.segments) if route else (),
            shadow_ppm=dict(route.shadow_ppm) if route else {},
        )

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop following; the last route stays in force until its lease has run out."""
        self._start_on_choose = False
        if self._following is not None:
            self._following.close(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """Runs in a forked child: the thread is gone, the first request starts a new one."""
        self._lease.after_fork()
        self._start_lock = threading.Lock()
        self._change_lock = threading.RLock()
        if self._following is not None:
            forks.abandon(self._following)
            self._following = None
            self._start_on_choose = True

    def _restart(self) -> None:
        self._start_on_choose = False
        self.start()

    def _on_record(self, key: bytes | None, record: bytes | None) -> None:
        if key is not None or record is not None:
            self._receive(key, record)

    def _receive(self, key: bytes | None, record: bytes | None) -> Outcome:
        outcome = self._lease.receive(record, key)
        if outcome is Outcome.INVALID:
            self._log.warning("route", f"a route for {self.service} was ignored: {self._lease.last_error}")
        self._tell()
        return outcome

    def _tell(self) -> None:
        """Say what has changed, a lease that has run out as well; asked at every look at the topic."""
        if self._on_change is None:
            return
        with self._change_lock:
            state = self.state()
            epoch = None if state.on_fallback else state.epoch
            if epoch == self._told:
                return
            self._told = epoch
            try:
                self._on_change(state)
            except Exception as error:
                self._log.warning("on_change", f"on_change of {self.service} raised {error!r}")

    def _reason(self, snapshot: Snapshot) -> str:
        if snapshot.route is not None:
            return f"the lease of epoch {snapshot.route.epoch} has run out and was not renewed"
        if self._lease.counts[Outcome.TOMBSTONE]:
            return f"the route of {self.service} was withdrawn"
        if self._following is not None and not self._following.connected:
            return f"{self.topic} could not be read yet"
        return f"no route for {self.service} has arrived"

    def _failed(self, error: Exception, snapshot: Snapshot) -> Choice:
        self._choose_failures += 1
        self._log.warning("choose", f"a request for {self.service} got the fallback: {error!r}")
        return Choice(snapshot.fallback, None, None)
