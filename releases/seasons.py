"""Metrics with a season: a version's own past is then that of the same time of earlier seasons."""

from __future__ import annotations

from functools import lru_cache

from detectors.gaussian.seasonal import SeasonalGaussian
from releases.wording import duration_text
from schemas.metric import Metric
from schemas.plan import Plan

WINDOW_MS = 5_000
"""Log time that one observed value covers."""

PHASES_MAX = 96
"""A quarter of an hour of a day."""

WINDOWS_MIN = 15
"""Windows of a phase in each season: in two seasons as many as an opinion needs."""

SEASONS_KEPT = 3
"""The windows of so many seasons weigh alike in a phase; older ones fade."""

FORGETTING_MAX = 0.02
"""Of short seasons, whose phases have few windows: the rate of the observer without a season."""


@lru_cache(maxsize=256)
def seasonal_of(season_ms: int) -> SeasonalGaussian:
    """The observer of a season, one value for each window.

    >>> [seasonal_of(ms).phases for ms in (600_000, 3_600_000, 86_400_000)]
    [8, 48, 96]
    >>> round(1 / seasonal_of(86_400_000).forgetting)
    540
    """
    phases = min(PHASES_MAX, season_ms // (WINDOWS_MIN * WINDOW_MS))
    per_phase = season_ms / phases / WINDOW_MS
    return SeasonalGaussian(season_ms, phases, forgetting=min(FORGETTING_MAX, 1 / (SEASONS_KEPT * per_phase)))


def season_text(metric: Metric) -> str:
    """When a metric's own past was, in words; nothing without a season.

    >>> from schemas.units import Duration
    >>> season_text(Metric("latency_ms", season=Duration(86_400_000))), season_text(Metric("latency_ms"))
    (' at this time of its season of 1d', '')
    """
    return "" if metric.season is None else f" at this time of its season of {duration_text(metric.season)}"


def season_lines(plan: Plan) -> list[str]:
    """What a plan's seasons mean, for ``plan check``."""
    lines = []
    for metric in plan.measured:
        if metric.season is not None:
            observer, season = seasonal_of(metric.season), duration_text(metric.season)
            phase = duration_text(round(metric.season / observer.phases))
            lines.append(
                f"{metric.label}: alerts on its own past compare with the same {phase} of earlier seasons of {season}, "
                f"once each was seen in {observer.seasons} of them; until then they say nothing."
            )
    return lines


def season_warnings(plan: Plan) -> list[str]:
    """Seasons that are too long for the release: what is known of them begins with it."""
    found = []
    for metric in plan.measured:
        if metric.season is not None:
            known_ms, limit_ms = seasonal_of(metric.season).seasons * metric.season, plan.limits.max_duration
            if known_ms >= limit_ms:
                found.append(
                    f"what is usual in the season of {metric.label} is known after {duration_text(known_ms)}, "
                    f"and max_duration is {duration_text(limit_ms)}: no alert on its own past will ever come"
                )
    return found
