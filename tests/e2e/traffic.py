"""Live traffic through the real client library: a `Router` says who answers, an `Emitter` says how it went."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace
from math import exp, sqrt
from types import TracebackType

from serinus import Choice, Emitter, Router
from tests.e2e.pipeline import Pipeline

_TICK_S = 0.01


@dataclass(frozen=True)
class Arm:
    """How a version answers.

    Parameters
    ----------
    error_rate : share of errors. latency_ms : median of a lognormal latency.
    correlation : of the logarithms of latency and ``values.tokens_out``; without it no tokens are sent.
    """

    error_rate: float = 0.01
    latency_ms: float = 180.0
    correlation: float | None = None


@dataclass(frozen=True)
class Served:
    """One request: when (monotonic, s, and Unix ms), by which version, and the epoch of the route that said so."""

    at_s: float
    at_ms: int
    version: str
    epoch: int | None


class Traffic:
    """Requests of one service at a steady rate from a thread of its own; a context manager.

    Parameters
    ----------
    rate_per_s : requests a second.
    canary, baseline : how ``v2`` and ``v1`` answer.
    """

    def __init__(
        self, running: Pipeline, service: str, *, rate_per_s: int, canary: Arm, baseline: Arm = Arm(), seed: int = 1
    ) -> None:
        brokers, prefix = running.brokers, running.prefix
        self.router = Router(service=service, fallback="v1", brokers=brokers, topic_prefix=prefix)
        self.emitter = Emitter(service=service, brokers=brokers, topic_prefix=prefix)
        self.arms = {"v1": baseline, "v2": canary}
        self.served: list[Served] = []
        self.copies = 0
        self._random = random.Random(seed)
        self._rate_per_s, self._stop = rate_per_s, threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"traffic-{service}")

    def become(self, **changes: float) -> int:
        """Change how the canary answers from now on; returns now, Unix ms."""
        self.arms["v2"] = replace(self.arms["v2"], **changes)
        return time.time_ns() // 1_000_000

    def share(self, *, since_s: float, until_s: float) -> float:
        """Share of the canary among the requests between two monotonic times."""
        versions = [one.version for one in self.served if since_s <= one.at_s < until_s]
        return versions.count("v2") / len(versions)

    def share_of(self, epoch: int) -> tuple[float, int]:
        """Share of the canary among the requests that one route has split, and their number."""
        versions = [one.version for one in self.served if one.epoch == epoch]
        return versions.count("v2") / max(1, len(versions)), len(versions)

    def _run(self) -> None:
        began_s, sent = time.monotonic(), 0
        while not self._stop.wait(_TICK_S):
            due = int((time.monotonic() - began_s) * self._rate_per_s)
            for _ in range(due - sent):
                self._request()
            sent = due

    def _request(self) -> None:
        unit = f"user-{self._random.randrange(100_000)}"
        choice = self.router.route(unit)
        self.served.append(Served(time.monotonic(), time.time_ns() // 1_000_000, choice.version, choice.epoch))
        self._answer(choice.version, choice, unit)
        if choice.shadow is not None:
            self.copies += 1
            self._answer(choice.shadow, choice, unit, shadow=True)

    def _answer(self, version: str, choice: Choice, unit: str, *, shadow: bool = False) -> None:
        arm, slow = self.arms[version], self._random.gauss(0.0, 1.0)
        self.emitter.emit(
            version=version,
            latency_ms=arm.latency_ms * exp(0.5 * slow),
            values=None if arm.correlation is None else {"tokens_out": self._tokens(slow, arm.correlation)},
            error=self._random.random() < arm.error_rate,
            unit=unit,
            epoch=choice.epoch,
            bucket=choice.bucket,
            shadow=shadow,
        )

    def _tokens(self, slow: float, correlation: float) -> float:
        return 200.0 * exp(0.5 * (correlation * slow + sqrt(1.0 - correlation**2) * self._random.gauss(0.0, 1.0)))

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        lost = self.emitter.close()
        self.router.close()
        assert kind is not None or lost == 0, f"{lost} events were lost"
