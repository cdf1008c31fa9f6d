"""Two stand-ins for model versions: they wait and fail as configured, and answer nothing of sense."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass


class ModelError(Exception):
    """The model failed to answer."""


@dataclass(frozen=True)
class Answer:
    """What a model returns."""

    text: str
    tokens_out: int
    finish_reason: str


@dataclass(frozen=True)
class FakeModel:
    """Answers after a log-normal time.

    Parameters
    ----------
    name: version.
    latency_ms_median: median time of an answer, ms.
    error_rate: share of requests that fail, 0 to 1.
    """

    name: str
    latency_ms_median: float = 40.0
    error_rate: float = 0.01

    async def answer(self, prompt: str) -> Answer:
        """Return an answer; ModelError in the configured share of cases."""
        await asyncio.sleep(self.latency_ms_median / 1000 * math.exp(random.gauss(0, 0.4)))
        if random.random() < self.error_rate:
            raise ModelError(f"{self.name} could not answer")
        tokens_out = max(1, round(random.gauss(60, 15)))
        finish_reason = random.choices(["stop", "length"], [9, 1])[0]
        return Answer(f"{self.name} read {len(prompt)} characters", tokens_out, finish_reason)
