"""Everybody on the fallback: what is carried out when nothing is known, and what a driver leaves behind."""

from __future__ import annotations

from schemas.units import PPM
from streams.in_force import InForce


def baseline(service: str, fallback: str) -> InForce:
    """Everybody on the fallback."""
    return InForce(service, {fallback: PPM}, fallback)


def shown(now: InForce) -> str:
    """What is in force, for messages.

    >>> shown(baseline("chat", "v1"))
    'chat, on v1'
    """
    return f"{now.service}, on {now.fallback}" if now.epoch is None else f"{now.service}, epoch {now.epoch}"
