"""Ticks: once a second, each partition in hand is told that time passes. What time it is, the broker writes down."""

from __future__ import annotations

import asyncio

import structlog

from schemas.inputs import Tick, encode_input
from streams.settings import Settings
from streams.topics import INPUTS
from streams.worker.broker_port import BrokerPort, SendFailedError
from streams.worker.registry import Registry

TICK_S = 1.0

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
        for outcome in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(outcome, SendFailedError):
                _log.warning("a tick was not sent", error=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
