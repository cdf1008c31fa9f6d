"""What a router does now: the route while its lease holds, everybody on the fallback otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from schemas.rule import Rule
from schemas.segment import NamedSegment
from schemas.units import PPM
from serinus import Router, RouterState
from streams.kafka_reader import read_to_end
from streams.settings import Settings
from streams.topics import CONTROL

_Weights = dict[str, Annotated[int, msgspec.Meta(ge=0, le=PPM)]]


class InForce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `serinus route watch` prints. What a reader does not know could limit a share, so it is refused."""

    service: str
    weights_ppm: _Weights
    fallback: str
    reason: str = ""
    """Why the fallback serves; empty while a lease holds."""
    epoch: int | None = None
    release_id: str = ""
    state: str = ""
    salt: str = ""
    rules: tuple[Rule, ...] = ()
    segments: tuple[NamedSegment, ...] = ()
    shadow_ppm: _Weights = {}
    type: Literal["in_force"] = "in_force"

    def __post_init__(self) -> None:
        if sum(self.weights_ppm.values()) != PPM:
            raise ValueError(f"weights_ppm sum to {sum(self.weights_ppm.values())}, allowed: exactly {PPM}")
        for rule in self.rules:
            shares = rule.weights_ppm.values()
            if min(shares, default=0) < 0 or sum(shares) > PPM:
                raise ValueError(f"a rule's weights_ppm are {list(shares)}; each must be >= 0, the sum <= {PPM}")


decode_in_force = msgspec.json.Decoder(InForce).decode


def in_force(state: RouterState) -> InForce:
    """What a router's state asks for.

    >>> in_force(Router(service="chat", fallback="v1").state()).weights_ppm
    {'v1': 1000000}
    """
    if state.on_fallback:
        return InForce(state.service, {state.fallback: PPM}, state.fallback, state.reason)
    return InForce(
        state.service,
        state.weights_ppm,
        state.fallback,
        epoch=state.epoch,
        release_id=state.release_id,
        state=state.release_state,
        salt=state.salt,
        rules=msgspec.convert(state.rules, tuple[Rule, ...]),
        segments=msgspec.convert(state.segments, tuple[NamedSegment, ...]),
        shadow_ppm=state.shadow_ppm,
    )


def read_in_force(settings: Settings, service: str, fallback: str) -> InForce:
    """What a router that starts now would do; raises UnreachableError.

    Parameters
    ----------
    fallback : who serves while there is no route.
    """
    router = Router(service=service, fallback=fallback)
    key = service.encode("utf-8", "surrogatepass")
    for message in read_to_end(settings, settings.topic(CONTROL)):
        if message.key() == key:
            router.apply(message.value())
    return in_force(router.state())
