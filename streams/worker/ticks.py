"""Ticks: once a second, each partition in hand is told that time passes. What time it is, the broker writes down."""

from __future__ import annotations

import asyncio
import time

import structlog

from schemas.inputs import Tick, encode_input
from streams.settings import Settings
from streams.topics import INPUTS
from streams.worker.broker_port import BrokerPort, SendFailedError
from streams.worker.registry import Registry

TICK_S = 1.0
SILENT_S = 5.0
"""A stopped broker keeps its connections, and no client complains for a long time; so a tick that waits does."""

SLOW_S = 1.0
SLOW_EVERY_S = 10.0
"""A broker that answers late is worth a line, though not one a second."""

_log = structlog.stdlib.get_logger("serinus.worker")


async def tick_forever(settings: Settings, registry: Registry, port: BrokerPort, *, writer: str) -> None:
    """Send ticks until cancelled.

    A tick that is lost only means that time stood still for a second, so a failure is no reason to stop.
    """
    topic, value = settings.topic(INPUTS), encode_input(Tick(writer=writer))
    patience = _Patience()
    while True:
        await asyncio.sleep(TICK_S)
        if not registry.ready or registry.closing:
            continue
        sends = [port.send(topic, key=None, value=value, partition=number) for number in sorted(registry.owned)]
        for outcome in await patience.wait(asyncio.gather(*sends, return_exceptions=True)):
            if isinstance(outcome, SendFailedError):
                _log.warning("a tick was not sent", error=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome


class _Patience:
    """Waits for acknowledgements, and says it when they take long."""

    def __init__(self) -> None:
        self._said_s = float("-inf")

    async def wait(self, sending: asyncio.Future[list[BaseException | None]]) -> list[BaseException | None]:
        """What became of each send."""
        began_s = time.monotonic()
        done, _ = await asyncio.wait([sending], timeout=SILENT_S)
        if not done:
            _log.warning("Kafka acknowledges nothing; nothing is judged until it does", seconds=SILENT_S)
            await asyncio.wait([sending])
            _log.info("Kafka acknowledges again", seconds=round(time.monotonic() - began_s, 1))
        elif (now_s := time.monotonic()) - began_s > SLOW_S and now_s - self._said_s > SLOW_EVERY_S:
            self._said_s = now_s
            _log.warning("Kafka acknowledges slowly; decisions come late", seconds=round(now_s - began_s, 1))
        return sending.result()
