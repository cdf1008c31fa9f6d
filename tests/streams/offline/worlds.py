"""Scenarios and plans for tests of what happens offline."""

from __future__ import annotations

from pathlib import Path

from schemas.plan import Plan, parse_plan
from schemas.scenario import parse_scenario
from streams.offline.drawing import World
from streams.offline.traffic import metrics_drawn

PLAN = """
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 20%, hold: 20s}, {weight: 50%, hold: 20s}]}
metrics:
  - {name: error_rate, margin: 2%}
  - {name: latency_ms, margin: 20%}
"""

SCENARIO = """
name: made-up
duration: 5m
traffic: {rate: 50/s, segments: {eu: 70%, us: 30%}}
baseline:
  error_rate: 1%
  latency_ms: {lognormal: {median: 180, sigma: 0.5}}
  values: {tokens_out: {gamma: {mean: 100, shape: 2}}}
  labels: {finish_reason: {stop: 90%, length: 10%}}
  feedback: {rating: {mean: 4, sd: 1, share: 50%, delay: 3s}}
"""


def plan(text: str = PLAN) -> Plan:
    return parse_plan(text)


def world(extra: str = "", *, text: str = SCENARIO, metrics: Plan | None = None) -> World:
    """The scenario with more lines, for a plan; files are looked up here."""
    scenario = parse_scenario(text + extra)
    return World(scenario, Path(__file__).parent, metrics_drawn(metrics or plan()))
