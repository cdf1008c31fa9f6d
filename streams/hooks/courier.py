"""Deliveries on a thread of their own, so that whoever reads Kafka never waits for a target."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import aiohttp

from streams.hooks.calling import call
from streams.hooks.delivery import Delivery, Failure
from streams.hooks.lanes import Lanes, Outcome
from streams.hooks.metrics import HookMetrics
from streams.hooks.running import run
from streams.hooks.targets import Webhook

_WAIT_S = 10.0


class Courier:
    """Takes deliveries and says which have ended; a context manager.

    Parameters
    ----------
    keys : that webhooks are signed with.
    timeout_s : for one try.
    """

    def __init__(self, metrics: HookMetrics, *, keys: Sequence[bytes], timeout_s: float) -> None:
        self._metrics, self._keys, self._timeout_s = metrics, keys, timeout_s
        self._done: SimpleQueue[Delivery] = SimpleQueue()
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hooks", daemon=True)

    def __enter__(self) -> Courier:
        self._thread.start()
        self._on_loop(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_S)
        self._loop.close()

    def send(self, delivery: Delivery) -> None:
        """Carry it out; returns at once."""
        self._loop.call_soon_threadsafe(self._lanes.send, delivery)

    def ended(self) -> list[Delivery]:
        """What was delivered or given up since the last call; raises what a lane has failed with."""
        if self._error is not None:
            raise self._error
        found = []
        while True:
            try:
                found.append(self._done.get_nowait())
            except Empty:
                return found

    def drop(self) -> None:
        """Stop and forget everything; nothing of it is told as ended afterwards."""
        self._on_loop(self._lanes.drop())
        self.ended()

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(
            # A target that is dead must not take the connections of others; how many there are is the lanes' affair.
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        self._lanes = Lanes(self._attempt, ended=self._end, tried=self._metrics.tried, crashed=self._crash)

    async def _close(self) -> None:
        await self._lanes.drop()
        await self._session.close()

    async def _attempt(self, delivery: Delivery) -> Failure | None:
        target = delivery.target
        if isinstance(target, Webhook):
            return await call(self._session, target.url, delivery, keys=self._keys, timeout_s=self._timeout_s)
        return await run(target.argv, delivery, timeout_s=self._timeout_s)

    def _end(self, delivery: Delivery, outcome: Outcome) -> None:
        self._metrics.ended(delivery.format, outcome)
        self._done.put(delivery)

    def _crash(self, error: BaseException) -> None:
        self._error = error

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_WAIT_S)
