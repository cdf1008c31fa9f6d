"""A service of the demo: real arrivals, routed by the real router, answered by a model that is made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

import serinus
from streams.demo.model import Behaviour, answer
from streams.demo.tally import Tally
from streams.demo.trace import Trace

USERS = 50_000
EU_SHARE = 0.6

Emit = Callable[..., None]
"""Takes what :meth:`serinus.Emitter.emit` takes."""


class Cast(NamedTuple):
    """One service of the demo as it is told.

    Parameters
    ----------
    name : of the service and of its plan.
    trace : name of its recorded arrivals.
    versions : how each behaves; the first is the baseline, the second the canary.
    expected : the state that the release has to end in.
    story : the canary in a few words.
    """

    name: str
    trace: str
    versions: Mapping[str, Behaviour]
    expected: str
    story: str

    @property
    def baseline(self) -> str:
        return next(iter(self.versions))

    @property
    def canary(self) -> str:
        return list(self.versions)[1]


CASTS = (
    Cast(
        name="chat",
        trace="conv",
        versions={"v1": Behaviour(), "v2": Behaviour(error_rate=0.04, latency_times=1.2)},
        expected="rolled_back",
        story="bad canary: errors 1 % → 4 %, latency +20 %",
    ),
    Cast(
        name="code",
        trace="code",
        versions={"v1": Behaviour(), "v2": Behaviour()},
        expected="promoted",
        story="good canary: the same as the baseline",
    ),
)


class Service:
    """Serves one trace, compressed in time; after its last arrival it begins again.

    Parameters
    ----------
    cast : who it is.
    trace : the recorded arrivals.
    speed : recorded seconds per second of the demo.
    router : decides which version answers.
    emit : receives the event of each request.
    rng : of everything synthetic.
    """

    def __init__(
        self, cast: Cast, trace: Trace, *, speed: float, router: serinus.Router, emit: Emit, rng: Random
    ) -> None:
        self.cast = cast
        self.router = router
        self.tally = Tally(tuple(cast.versions))
        self._due_s = (trace.arrivals_s / speed).tolist()
        self._tokens = trace.tokens.tolist()
        self._lap_s = trace.length_s / speed
        self._emit = emit
        self._rng = rng
        self._served = 0

    def serve(self, now_s: float) -> None:
        """Answer every request that has arrived by ``now_s``, seconds since the demo's first arrival."""
        while True:
            lap, index = divmod(self._served, len(self._due_s))
            if lap * self._lap_s + self._due_s[index] > now_s:
                return
            self._answer(self._tokens[index], now_s)
            self._served += 1

    def _answer(self, tokens: int, now_s: float) -> None:
        user = self._rng.randrange(USERS)
        # One user is always in the same segment.
        segment = "eu" if user < EU_SHARE * USERS else "us"
        unit = f"user-{user}"
        choice = self.router.route(unit, segment=segment)
        made = answer(self._rng, tokens, self.cast.versions[choice.version])
        self._emit(
            version=choice.version,
            latency_ms=made.latency_ms,
            error=made.error,
            values={"tokens_out": float(tokens)},
            labels={"finish_reason": made.finish_reason},
            segment=segment,
            unit=unit,
            epoch=choice.epoch,
            bucket=choice.bucket,
        )
        self.tally.add(choice.version, at_s=now_s, error=made.error, latency_ms=made.latency_ms)
