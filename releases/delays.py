"""How long feedback takes: the time from a request's answer to what its user says of it, for each version.

Versions whose feedback takes longer have less of it in yet, and what is missing may be unlike what came. Feedback on
requests from before the release comes to the baseline alone, so a canary's delays begin short; one that takes longer
all the same does take longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from detectors.blocks import Block
from detectors.summaries.log_histogram import LogHistogram
from releases.wording import delay_text
from schemas.evidence import Delay
from schemas.metric import DELAY
from schemas.plan import Plan

Delays = Mapping[str, LogHistogram]
"""Version to the delays of its feedback, ms, in closed blocks."""

LATER: Final = 1.5
"""A median so many times the baseline's is worth a word."""

ENOUGH: Final = 20
"""Delays of each version before their medians are compared in words."""


def start_delays(plan: Plan) -> dict[str, LogHistogram]:
    """Nothing seen; nothing is kept for a plan that is not judged by feedback.

    >>> from schemas.plan import EXAMPLE, parse_plan
    >>> start_delays(parse_plan(EXAMPLE))
    {}
    """
    if not any(gate.delayed for gate in plan.gates):
        return {}
    return dict.fromkeys((plan.baseline, *plan.canaries), LogHistogram.empty())


def add_delays(delays: Delays, closed: Sequence[Block]) -> dict[str, LogHistogram]:
    """After the blocks that closed at one moment."""
    return {version: LogHistogram.merge_all([known, *_found(closed, version)]) for version, known in delays.items()}


def _found(closed: Sequence[Block], version: str) -> list[LogHistogram]:
    arms = [block.arms[version] for block in closed if version in block.arms]
    return [arm.metrics[DELAY].histogram for arm in arms if DELAY in arm.metrics]


def delay_of(delays: Delays, version: str) -> Delay | None:
    """The delays of one version in numbers; None when no feedback of it carries one."""
    known = delays.get(version, LogHistogram.empty())
    half, most = known.quantile(0.5), known.quantile(0.9)
    return None if half is None or most is None else Delay(known.n, ms_p50=half, ms_p90=most)


def delays_text(canary: tuple[str, Delay | None], baseline: tuple[str, Delay | None]) -> str:
    """What a sentence says of delays, to be added to it: nothing when nothing is known.

    Parameters
    ----------
    canary, baseline : the version and its delays.

    >>> mine, theirs = Delay(37, ms_p50=301_000.0, ms_p90=720_000.0), Delay(90, ms_p50=120_000.0, ms_p90=300_000.0)
    >>> delays_text(("v2", mine), ("v1", None))
    ', half of it within 5.0 min'
    >>> delays_text(("v2", mine), ("v1", theirs))
    ', half of it within 5.0 min (v1: 2.0 min): it comes later, and what is still missing may be unlike what came'
    """
    (_, ours), (name, theirs) = canary, baseline
    if ours is None:
        return ""
    text = f", half of it within {delay_text(ours.ms_p50)}"
    if theirs is None:
        return text
    text = f"{text} ({name}: {delay_text(theirs.ms_p50)})"
    if min(ours.n, theirs.n) < ENOUGH or ours.ms_p50 < LATER * theirs.ms_p50:
        return text
    return f"{text}: it comes later, and what is still missing may be unlike what came"
