"""What of a scenario and a plan a fleet can simulate, what it has to sum up for that, and how much at a time."""

from __future__ import annotations

import numpy as np

from schemas.plan import Plan
from streams.offline.drawing import World
from streams.offline.fleet_columns import Columns, columns_of
from streams.offline.fleet_gates import FleetGate, GroupedGate
from streams.offline.fleet_lone_gates import LoneGates
from streams.offline.fleet_unit_gates import GroupedUnitGate

BATCH = 250
"""Releases side by side. More are hardly faster, and in ten segments each takes 2 MB."""

REQUESTS_KEPT = 3_000_000
"""Where requests are kept, so many of all releases together: 40 bytes each, and twice that while they are sorted."""


def columns_read(world: World, plan: Plan) -> Columns:
    """What is to be summed up.

    Raises
    ------
    ValueError : the scenario or the plan has something that this way of simulating leaves out.
    """
    users = world.scenario.traffic.users is not None
    if any(change.silent for change in world.canary) or len(plan.canaries) != 1:
        raise ValueError("a fleet has one canary, and versions that answer")
    if plan.independent == "unit" and not users:
        raise ValueError("a fleet counts units only where the scenario has users")
    by_unit = users and plan.independent != "request"
    kinds = {"rate", "mean"} if by_unit else {"rate", "mean", "p50", "p95", "p99", "mix"}
    delayed = set[str]() if by_unit else {"mean"}
    judged = plan.by_segment and all(
        gate.kind in (delayed if gate.delayed else kinds) and gate.on_fail == "rollback" and gate.range is None
        for gate in plan.gates
    )
    ramp = plan.ramp
    plain = not (ramp.segments or ramp.windows or ramp.min_requests or ramp.start is not None)
    if not judged or not plain:
        judges = "rates and means of users" if by_unit else "rates, means, quantiles, mixes and feedback of requests"
        raise ValueError(
            f"a fleet judges {judges}, at once and by segment, with gates that roll back and ramps for everyone at once"
        )
    return columns_of(world, plan, by_unit=by_unit)


def fleet_gates(plan: Plan, columns: Columns, *, releases: int, stride: int) -> list[FleetGate]:
    """All gates of a plan."""
    grouped = GroupedUnitGate if columns.by_unit else GroupedGate
    return [
        grouped(plan, gate, columns, stride=stride)
        if gate.kind in {"rate", "mean"}
        else LoneGates(plan, gate, columns, releases=releases)
        for gate in plan.gates
    ]


def batch_of(world: World, plan: Plan) -> int:
    """How many releases are best simulated side by side: where requests are kept, as many as the memory is good for."""
    columns = columns_read(world, plan)
    if columns.nested and world.scenario.traffic.users is None:
        return BATCH
    kept = world.requests_expected * world.chunk_steps / world.steps
    return int(np.clip(REQUESTS_KEPT / kept, 1, BATCH))
