"""A lane for each target: what goes to it goes one after another, again and again, and delays no other."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum

import structlog

from streams.hooks.delivery import Delivery, Failure

TRIES_AT_ONCE = 64
WAITING_MAX = 500
"""In one lane; then the oldest that waits is given up, since who comes back wants to know the newest."""

PAUSE_S, PAUSE_S_MAX = 0.5, 60.0

Try = Callable[[Delivery], Awaitable[Failure | None]]

_log = structlog.stdlib.get_logger("serinus.hooks")


class Outcome(Enum):
    """How a delivery, or what could have been one, ended."""

    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    REFUSED = "refused"
    TOO_OLD = "too_old"


def pause_s(failures: int, chance: float) -> float:
    """How long to wait before the next try: twice as long each time, up to a minute, less a part that chance takes.

    Parameters
    ----------
    failures : so far, >= 1.
    chance : from 0 to 1; many targets that failed together must not come back together.

    >>> pause_s(1, 0.0), pause_s(3, 1.0), pause_s(1_000, 0.0)
    (0.5, 1.0, 60.0)
    """
    return float(min(PAUSE_S * 2 ** min(failures - 1, 30), PAUSE_S_MAX) * (1 - chance / 2))


class Lanes:
    """Carries deliveries out on a running event loop.

    Parameters
    ----------
    attempt : one try.
    ended : is told how each delivery ended, apart from those that were dropped.
    tried : is told of each try whether it worked.
    crashed : is told of an error that is ours: a lane that stands still would look like one with nothing to do.
    """

    def __init__(
        self,
        attempt: Try,
        *,
        ended: Callable[[Delivery, Outcome], None],
        tried: Callable[[bool], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._attempt, self._ended, self._tried, self._crashed = attempt, ended, tried, crashed
        self._waiting: dict[str, deque[Delivery]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(TRIES_AT_ONCE)

    def send(self, delivery: Delivery) -> None:
        """Put a delivery behind those of its target."""
        waiting = self._waiting.setdefault(delivery.lane, deque())
        waiting.append(delivery)
        if len(waiting) > WAITING_MAX:
            oldest = waiting[1]  # the first is under way
            del waiting[1]
            self._give_up(oldest, f"more than {WAITING_MAX} wait for it")
        if delivery.lane not in self._tasks:
            task = self._tasks[delivery.lane] = asyncio.create_task(self._carry_out(delivery.lane))
            task.add_done_callback(self._look_at)

    async def drop(self) -> None:
        """Stop all that is under way and forget what waits: somebody else will do it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        self._waiting.clear()

    def _look_at(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crashed(error)

    async def _carry_out(self, lane: str) -> None:
        waiting = self._waiting[lane]
        while waiting:
            await self._deliver(waiting[0])
            waiting.popleft()
        del self._tasks[lane], self._waiting[lane]

    async def _deliver(self, delivery: Delivery) -> None:
        failures = 0
        while True:
            async with self._places:
                failure = await self._attempt(delivery)
            self._tried(failure is None)
            if failure is None:
                _log.info(f"told {delivery.target.shown} of {delivery.about}", key=delivery.key, failures=failures)
                self._ended(delivery, Outcome.DELIVERED)
                return
            failures += 1
            wait_s = max(pause_s(failures, random.random()), failure.after_s)
            if not failure.again or time.monotonic() + wait_s > delivery.until_s:
                self._give_up(delivery, failure.why, failures)
                return
            _log.warning(
                f"could not tell {delivery.target.shown} of {delivery.about}: {failure.why}; trying again in "
                f"{wait_s:.1f} s",
                key=delivery.key,
                failures=failures,
            )
            await asyncio.sleep(wait_s)

    def _give_up(self, delivery: Delivery, why: str, failures: int = 0) -> None:
        _log.error(
            f"gave up telling {delivery.target.shown} of {delivery.about}: {why}", key=delivery.key, failures=failures
        )
        self._ended(delivery, Outcome.GIVEN_UP)
