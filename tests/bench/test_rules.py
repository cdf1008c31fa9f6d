"""The rules that Serinus is compared with: each errs and finds as its kind is known to."""

from __future__ import annotations

import numpy as np
import pytest

from bench import rules
from bench.arms import Second
from detectors.summaries.moments import Moments


def rolled_back(
    rule: rules.Rule, *, effect: float = 0.0, drift: float = 0.0, seed: int = 0, seconds: int = 900
) -> bool:
    """Play normal values, fifty a second, the canary's share rising from 2 to 30 %, both drifting alike."""
    rng = np.random.default_rng(seed)
    for at_s in range(seconds):
        canary = 1 if at_s < seconds / 2 else 15
        level = 100 * (1 + drift * at_s / seconds)
        arms = [Moments.of(rng.normal(level * times, 30, n)) for times, n in ((1, 50 - canary), (1 + effect, canary))]
        if rule.failed(Second(at_s, {"latency_ms": arms[0]}, {"latency_ms": arms[1]})):
            return True
    return rule.refused()


def every_rule() -> list[rules.Rule]:
    return [
        rules.ThreeSigma(),
        rules.Thresholds({"latency_ms": 110.0}),
        rules.MannWhitney(),
        rules.PeekingZ(),
        rules.FixedHorizonZ(),
        rules.Msprt(),
        rules.PooledSequence(),
        rules.OracleSprt("latency_ms", 100.0, 130.0, 30.0, 0.0),
    ]


@pytest.mark.parametrize("index", range(8))
def test_every_rule_finds_a_large_effect(index: int) -> None:
    """None of them is so weak a model that it misses a third more latency."""
    assert rolled_back(every_rule()[index], effect=0.3)


@pytest.mark.parametrize(
    ("rule", "most", "least"),
    [
        (rules.PeekingZ, 15, 3),
        (rules.FixedHorizonZ, 3, 0),
        (rules.Msprt, 3, 0),
        (rules.PooledSequence, 3, 0),
    ],
)
def test_error_rates_are_those_of_their_kind(rule: type[rules.Rule], most: int, least: int) -> None:
    """Of 15 healthy releases peeking rolls back many; what is valid without drift at most three (chance: 1 in 180)."""
    found = sum(rolled_back(rule(), seed=seed) for seed in range(15))
    assert least <= found <= most


@pytest.mark.parametrize("rule", [rules.FixedHorizonZ, rules.Msprt, rules.PooledSequence])
def test_what_pools_mistakes_drift_for_an_effect(rule: type[rules.Rule]) -> None:
    """Both versions get slower while the share rises: pooled, the canary looks worse."""
    assert rolled_back(rule(), drift=0.3)
