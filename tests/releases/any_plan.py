"""Random plans: every kind of ramp with windows, holidays, a start at a date, user groups and one to three canaries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st

from schemas.plan import Plan, parse_plan
from schemas.units import PPM
from tests.releases.story import START_MS

ERRORS, SLOWER = {"name": "error_rate", "margin": "1%"}, {"name": "latency_ms", "margin": "10%"}
OTHER = {"name": "values.x", "margin": "9%"}
HOLDING = SLOWER | {"action": "hold"}
METRICS: list[list[dict[str, str]]] = [
    [ERRORS],
    [ERRORS, HOLDING],
    [ERRORS | {"action": "hold"}],
    [ERRORS, SLOWER, OTHER],
]
GROUPS: list[list[list[str]]] = [[["internal"], ["*"]], [["internal"], ["beta", "friends"], ["*"]], [["*"]]]
HOLDS = ["1s", "5s", "1m", "2m", "1h"]
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata"]
CLOCK = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
WINDOW = st.fixed_dictionaries(
    {"from": CLOCK, "to": CLOCK},
    optional={"zone": st.sampled_from(ZONES), "days": st.sampled_from(["thu", "fri", "thu-sat", "mon-fri", "sun"])},
).filter(lambda window: window["from"] != window["to"])
DAYS = [f"2025-11-{day}" for day in (19, 20, 21, 22)]
"""Around the day on which every sequence begins, a Thursday."""
STARTS_S = [-3_600, 30, 600, 7_200]
"""From the beginning of a sequence to the start that a plan asks for."""


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan that is allowed."""
    canaries = draw(st.sampled_from([["v2"], ["v2"], ["v3", "v2"], ["v3", "v2"], ["v2", "v3", "v10"]]))
    document = {
        "service": "chat",
        "baseline": "v1",
        "canaries": canaries,
        "ramp": draw(_ramps((PPM - 1) // len(canaries))),
        "metrics": draw(st.sampled_from(METRICS)),
        "limits": {
            "max_duration": draw(st.sampled_from(["10m", "1h", "4h", "30d"])),
            "inconclusive": {"after": "3m", "action": draw(_ACTION)},
            "no_data": {"after": "6m", "action": draw(_ACTION)},
        },
    }
    return parse_plan(json.dumps(document), file="plan.yaml")


_ACTION = st.sampled_from(["hold", "hold", "rollback"])


@st.composite
def _ramps(draw: st.DrawFn, share_max: int) -> dict[str, Any]:
    shares = draw(st.lists(st.integers(1, share_max), min_size=2, max_size=4, unique=True))
    first, *between, last = sorted(shares)
    ends: dict[str, Any] = {"from": _share(first), "to": _share(last)}
    hold = st.sampled_from(HOLDS)
    ramp: dict[str, Any]
    match kind := draw(st.sampled_from(["stages", "linear", "exponential", "adaptive", "adaptive"])):
        case "stages":
            ramp = {"steps": [{"weight": _share(w), "hold": draw(hold)} for w in (first, *between, last)]}
        case "linear":
            ramp = ends | {"over": draw(st.sampled_from(["2s", "1m", "20m", "2h"]))}
        case "exponential":
            ramp = ends | {"factor": draw(st.sampled_from([1.5, 2, 10])), "every": draw(hold)}
        case _:
            ramp = ends | {"harm_budget": draw(st.sampled_from([20, 500])), "hold": draw(hold)}
    windows = draw(st.sampled_from([0, 0, 1, 2]).flatmap(lambda n: st.lists(WINDOW, min_size=n, max_size=n)))
    if windows:
        ramp |= {"windows": windows, "holidays": draw(st.lists(st.sampled_from(DAYS), unique=True, max_size=2))}
    if kind != "adaptive" and draw(st.booleans()):
        ramp["segments"] = draw(st.sampled_from(GROUPS))
    elif kind != "adaptive" and draw(st.sampled_from([False, False, True])):
        ramp["shadow"] = {"weight": _share(min(shares)), "hold": draw(hold)}
    if draw(st.booleans()):
        some = st.sampled_from([*shares, PPM])
        ramp["confirm"] = [_share(w) for w in sorted(draw(st.lists(some, min_size=1, max_size=3, unique=True)))]
    if draw(st.sampled_from([False, False, False, True])):
        start_s = START_MS // 1000 + draw(st.sampled_from(STARTS_S))
        ramp["start"] = datetime.fromtimestamp(start_s, UTC).isoformat()
    return {"kind": kind, **ramp}


def _share(weight_ppm: int) -> str:
    return f"{weight_ppm / 10_000:.4f}%"
