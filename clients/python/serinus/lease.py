"""What a router knows: the newest route, until when it may be believed, and what was refused. Pure but for a lock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from serinus.clocks import Clock
from serinus.route import InvalidRouteError, Route, decode_route, shadows_of, splits_of
from serinus.segment import NamedSegment
from serinus.splitter import Split

CLOCK_SKEW_MS = 5_000
"""How far the router's wall clock may be ahead of the worker's before a lease ends early."""

ACTIVE_STATES = frozenset({"scheduled", "ramping", "holding", "paused"})
"""While a release is in one of these, testers may force a version; what was rolled back is not served any more."""


class Outcome(StrEnum):
    """What became of one record of the control topic."""

    APPLIED = "applied"
    STALE = "stale"
    INVALID = "invalid"
    OTHER_SERVICE = "other_service"
    TOMBSTONE = "tombstone"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable view that requests read without a lock.

    Parameters
    ----------
    fallback: version that answers when the shares are not valid.
    salt, by_segment, default: how to split while they are.
    valid_until_s: end of the lease by the monotonic clock, s.
    valid_until_ms: end of the lease by the wall clock, skew included, Unix ms.
    route: the route behind it, None before the first one and after a tombstone.
    segments: how to name a request's segment by its attributes.
    forceable: the versions that a tester may ask for.
    shadows: who gets a copy of a request in which bucket, None when nobody does.
    """

    fallback: str
    salt: str
    by_segment: Mapping[str, Split]
    default: Split
    valid_until_s: float
    valid_until_ms: float
    route: Route | None
    segments: Sequence[NamedSegment] = ()
    forceable: frozenset[str] = frozenset()
    shadows: Split | None = None

    @property
    def epoch(self) -> int | None:
        """Epoch of the route, None without one."""
        return None if self.route is None else self.route.epoch


def closed(fallback: str, route: Route | None = None) -> Snapshot:
    """Return a snapshot in which everything goes to the fallback."""
    never = float("-inf")
    return Snapshot(fallback, "", {}, Split((), (fallback,)), never, never, route)


class Lease:
    """Takes records of the control topic and keeps the snapshot that they allow.

    A record opens traffic only if it is a valid route of this service, newer than every one before it, and if its
    lease has not run out. Nothing else ever does.

    Parameters
    ----------
    service: the service to follow.
    fallback: version that answers while there is no route.
    clock: wall and monotonic clock.

    Examples
    --------
    >>> lease = Lease("chat", "v1", Clock(now_ms=lambda: 1_000, monotonic_s=lambda: 0.0))
    >>> lease.receive(b'not json').value, lease.snapshot.fallback
    ('invalid', 'v1')
    """

    def __init__(self, service: str, fallback: str, clock: Clock) -> None:
        self._service = service
        self._fallback = fallback
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: tuple[int, int] | None = None
        self.snapshot = closed(fallback)
        self.counts: dict[str, int] = {outcome.value: 0 for outcome in Outcome}
        self.last_error = ""

    def receive(self, record: bytes | None, key: bytes | None = None) -> Outcome:
        """Take one record; None is a tombstone. Safe from any thread.

        Parameters
        ----------
        record: value of the record, or None.
        key: key of the record; None means that it is known to be this service's.
        """
        with self._lock:
            outcome = self._receive(record, key)
            self.counts[outcome.value] += 1
            return outcome

    def after_fork(self) -> None:
        """Replace a lock that another thread may have held when the process forked."""
        self._lock = threading.Lock()

    def _receive(self, record: bytes | None, key: bytes | None) -> Outcome:
        if key is not None and key != self._service.encode("utf-8", "surrogatepass"):
            return Outcome.OTHER_SERVICE
        if record is None:
            # Forgetting the route must not forget the fence: an older route stays older.
            self.snapshot = closed(self._fallback)
            return Outcome.TOMBSTONE
        try:
            route = decode_route(record)
        except InvalidRouteError as error:
            self.last_error = str(error)
            return Outcome.INVALID
        if route.service != self._service:
            return Outcome.OTHER_SERVICE
        if self._newest is not None and route.version <= self._newest:
            return Outcome.STALE
        self._newest = route.version
        self.snapshot = self._open(route)
        return Outcome.APPLIED

    def _open(self, route: Route) -> Snapshot:
        by_segment, default = splits_of(route)
        return Snapshot(
            fallback=route.fallback,
            salt=route.salt,
            by_segment=by_segment,
            default=default,
            valid_until_s=self._clock.monotonic_s() + route.lease_ms / 1000,
            valid_until_ms=route.issued_at_ms + route.lease_ms + CLOCK_SKEW_MS,
            route=route,
            segments=route.segments,
            forceable=frozenset(route.weights_ppm) if route.state in ACTIVE_STATES else frozenset(),
            shadows=shadows_of(route),
        )
