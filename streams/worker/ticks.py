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

_log = structlog.stdlib.get_logger("serinus.worker")


async def tick_forever(settings: Settings, registry: Registry, port: BrokerPort, *, writer: str) -> None:
    """Send ticks until cancelled.

    A tick that is lost only means that time stood still for a second, so a failure is no reason to stop.
    """
    topic, value = settings.topic(INPUTS), encode_input(Tick(writer=writer))
    while True:
        await asyncio.sleep(TICK_S)
        if not registry.ready or registry.closing:
            continue
        sends = [port.send(topic, key=None, value=value, partition=number) for number in sorted(registry.owned)]
        for outcome in await _patiently(asyncio.gather(*sends, return_exceptions=True)):
            if isinstance(outcome, SendFailedError):
                _log.warning("a tick was not sent", error=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome


async def _patiently(sending: asyncio.Future[list[BaseException | None]]) -> list[BaseException | None]:
    """Wait for all acknowledgements, and say it when they take long."""
    began_s = time.monotonic()
    done, _ = await asyncio.wait([sending], timeout=SILENT_S)
    if not done:
        _log.warning("Kafka acknowledges nothing; nothing is judged until it does", seconds=SILENT_S)
        await asyncio.wait([sending])
        _log.info("Kafka acknowledges again", seconds=round(time.monotonic() - began_s, 1))
    return sending.result()
