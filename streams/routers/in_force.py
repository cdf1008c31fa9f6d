"""What a router does now: a route while its lease holds, everybody on the fallback otherwise."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.units import PPM
from serinus import RouterState


class InForce(msgspec.Struct, frozen=True):
    """What is handed to whoever carries it out."""

    service: str
    weights_ppm: dict[str, int]
    fallback: str
    reason: str = ""
    """Why the fallback serves; empty while a lease holds."""
    epoch: int | None = None
    release_id: str = ""
    state: str = ""
    salt: str = ""
    rules: tuple[dict[str, Any], ...] = ()
    type: Literal["in_force"] = "in_force"

    def shown(self) -> str:
        """For messages.

        >>> baseline("chat", "v1").shown()
        'chat, on v1'
        """
        return f"{self.service}, on {self.fallback}" if self.epoch is None else f"{self.service}, epoch {self.epoch}"


def baseline(service: str, fallback: str, reason: str = "") -> InForce:
    """Everybody on the fallback."""
    return InForce(service, {fallback: PPM}, fallback, reason)


def in_force(state: RouterState) -> InForce:
    """What a router's state asks for.

    >>> from serinus import Router
    >>> in_force(Router(service="chat", fallback="v1").state()).weights_ppm
    {'v1': 1000000}
    """
    if state.on_fallback:
        return baseline(state.service, state.fallback, state.reason)
    return InForce(
        state.service,
        state.weights_ppm,
        state.fallback,
        epoch=state.epoch,
        release_id=state.release_id,
        state=state.release_state,
        salt=state.salt,
        rules=state.rules,
    )
