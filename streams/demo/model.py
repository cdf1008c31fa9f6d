"""The synthetic half of the demo's traffic: how a version answers. The trace knows neither latency nor errors."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

LATENCY_MS_FIRST_TOKEN = 120.0
LATENCY_MS_PER_TOKEN = 0.4
LATENCY_SIGMA = 0.3
"""Spread of the logarithm of the latency of answers of one length."""

LONG_ANSWER_TOKENS = 500


class Behaviour(NamedTuple):
    """How one version differs: the chance that a request fails, and a factor on its latency."""

    error_rate: float = 0.01
    latency_times: float = 1.0


class Answer(NamedTuple):
    """What the event of one request says of it."""

    error: bool
    latency_ms: float
    finish_reason: str


def answer(rng: Random, tokens: int, behaviour: Behaviour) -> Answer:
    """Make up the answer to one request.

    Parameters
    ----------
    rng : drawn from twice, whatever the behaviour.
    tokens : generated, from the trace: longer answers take longer.
    """
    median_ms = LATENCY_MS_FIRST_TOKEN + LATENCY_MS_PER_TOKEN * tokens
    noise = rng.gauss(0.0, LATENCY_SIGMA)
    return Answer(
        error=rng.random() < behaviour.error_rate,
        latency_ms=median_ms * behaviour.latency_times * math.exp(noise),
        finish_reason="length" if tokens >= LONG_ANSWER_TOKENS else "stop",
    )
