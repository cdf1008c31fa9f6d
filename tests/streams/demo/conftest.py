from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

import serinus
from schemas.decision import Action, Decision, State
from schemas.evidence import Evidence, Verdict
from streams.demo.scene import Scene
from streams.demo.service import CASTS, Service
from streams.demo.trace import Trace

Decide = Callable[..., Decision]

_TRACE = Trace(np.arange(0.0, 100.0), np.full(100, 50))


@pytest.fixture
def scene() -> Scene:
    """The demo before anything has happened; its routers give the canary half."""
    router = serinus.Router.static({"v1": 500_000, "v2": 500_000}, fallback="v1")
    services = [Service(cast, _TRACE, speed=1.0, router=router, emit=lambda **_: None, rng=Random(1)) for cast in CASTS]
    return Scene(services, "http://127.0.0.1:1")


@pytest.fixture
def decide() -> Decide:
    """Makes a decision: ``decide(service, epoch, action, state, share_ppm)``."""

    def made(service: str, epoch: int, action: Action, state: State, share_ppm: int) -> Decision:
        verdict = {State.ROLLED_BACK: Verdict.FAIL, State.PROMOTED: Verdict.PASS}.get(state, Verdict.INCONCLUSIVE)
        evidence = Evidence(
            "error_rate", "", "v2", "evalue-2x2", 1, "gate", verdict, 1000, 100, f"numbers of {service}"
        )
        return Decision(
            service=service,
            release_id=f"{service}-1",
            epoch=epoch,
            at_ms=1_700_000_000_000 + epoch * 1000,
            action=action,
            state=state,
            verdict=verdict,
            weights_ppm={"v1": 1_000_000 - share_ppm, "v2": share_ppm},
            actor="serinus",
            reason=f"{action.value} for a reason",
            evidence=(evidence,),
        )

    return made
