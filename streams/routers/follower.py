"""Follows what is in force and has it carried out, one thing after another: the one way for every kind of router."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from serinus import Router
from streams.in_force import InForce, in_force
from streams.settings import Settings

FIRST_S = 10.0
"""A route in force is waited for so long at the start; then the fallback is, as it is whenever nothing is known."""

SETTLED_S = 0.5
"""The topic is read from its beginning: what is in force is known when no other route came for so long."""

KEEP_S = 0.5
"""How often what was carried out is looked after: renewals of the lease, a proxy that was started anew."""


class Carrier(Protocol):
    """Whatever makes a route true somewhere: a command, a proxy."""

    @property
    def retries_s(self) -> Sequence[float]:
        """Waits before what failed is tried again; the last one for ever, until it works or the route changes."""

    def carry_out(self, now: InForce, lease_ms: int) -> bool:
        """Make it so; False when that failed and is to be tried again.

        Parameters
        ----------
        now : what is in force.
        lease_ms : how long it may stay so without being renewed; 0 for the fallback.
        """

    def keep(self, now: InForce, lease_ms: int) -> bool:
        """Look after what was carried out; False when it no longer stands."""


class Follower:
    """Carries out what is in force.

    Parameters
    ----------
    router : that is told by ``changed`` when it has something new.
    carrier : that carries it out.
    """

    def __init__(self, router: Router, carrier: Carrier) -> None:
        self._router, self._carrier = router, carrier
        self._done: InForce | None = None

    def run(self, stop: threading.Event, changed: threading.Event) -> None:
        """Until ``stop``."""
        self._settle(stop, changed)
        failures = 0
        while not stop.is_set():
            changed.clear()
            state = self._router.state()
            now = in_force(state)
            act = self._carrier.keep if self._is_done(now) else self._carrier.carry_out
            if act(now, state.lease_remaining_ms):
                self._done, failures = now, 0
                self._wait(KEEP_S, stop, changed)
            else:
                self._done = None
                retries_s = self._carrier.retries_s
                self._wait(retries_s[min(failures, len(retries_s) - 1)], stop, changed)
                failures += 1

    def _is_done(self, now: InForce) -> bool:
        return self._done is not None and msgspec.structs.replace(now, reason=self._done.reason) == self._done

    def _settle(self, stop: threading.Event, changed: threading.Event) -> None:
        began_s = time.monotonic()
        while not stop.is_set() and time.monotonic() - began_s < FIRST_S:
            if self._wait(SETTLED_S, stop, changed):
                changed.clear()
            elif not self._router.state().on_fallback:
                return

    def _wait(self, timeout_s: float, stop: threading.Event, changed: threading.Event) -> bool:
        """Whether something changed within the time; ends early when it has to stop."""
        until_s = time.monotonic() + timeout_s
        while not stop.is_set() and not changed.is_set():
            left_s = min(0.2, until_s - time.monotonic())
            if left_s <= 0:
                return False
            changed.wait(left_s)
        return changed.is_set()


def follow(settings: Settings, service: str, fallback: str, carrier: Carrier, stop: threading.Event) -> None:
    """Follow a service's routes on Kafka and have them carried out, until ``stop``."""
    changed = threading.Event()
    with Router(
        service=service,
        fallback=fallback,
        brokers=settings.brokers,
        config=settings.kafka,
        topic_prefix=settings.topic_prefix,
        on_change=lambda _: changed.set(),
    ) as router:
        Follower(router, carrier).run(stop, changed)
