"""The one error budget of a release: how alpha is divided, in one place.

FAIL averages e-values, over segments, gates and versions; an average of e-values is an e-value, whatever their
dependence, and fires whenever Bonferroni does (Vovk and Wang 2021, section 3). Gates that only hold have a budget of
their own beside the rollbacks'. PASS has an alpha of its own too and does not divide it: promotion needs every gate,
so a harmful gate passes falsely with at most that alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from detectors.sequential.averaging import log_average
from schemas.plan import Plan

ALPHA_PASS = 0.05
"""Chance that a canary exactly at the margin is ever found not worse."""


def gate_weights(plan: Plan, action: Literal["rollback", "hold"] = "rollback") -> dict[str, float]:
    """Share of alpha that each gate with this action takes; adds up to 1, or is empty when there is none.

    Parameters
    ----------
    plan : whose gates are weighted, each alike.
    action : of the budget that is divided.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> gate_weights(parse_plan(EXAMPLE, file="plan.yaml"))
    {'error_rate': 1.0}
    """
    labels = [gate.label for gate in plan.gates if gate.on_fail == action]
    return {label: 1 / len(labels) for label in labels}


def release_evidence(plan: Plan, gates: Mapping[str, float], action: Literal["rollback", "hold"]) -> float:
    """Logarithm of one version's averaged e-value over the gates with this action.

    Parameters
    ----------
    plan : whose weights hold.
    gates : per gate's label the natural logarithm of its e-value; a gate without one counts as an e-value of 1.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> release_evidence(parse_plan(EXAMPLE, file="plan.yaml"), {"error_rate": 3.5}, "rollback")
    3.5
    """
    weights = gate_weights(plan, action)
    if not weights:
        return 0.0
    return log_average([gates.get(label, 0.0) for label in weights], list(weights.values()))


def fail_threshold(plan: Plan) -> float:
    """Logarithm of the averaged e-value of one canary at which it is found worse: canaries of the plan / alpha.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> math.isclose(fail_threshold(parse_plan(EXAMPLE, file="plan.yaml")), math.log(20))
    True
    """
    return math.log(len(plan.canaries) / plan.alpha)
