"""The observers of a release: each version against its own past. They alert and explain; they never decide.

A 3-sigma rule that looks at every window fires on nearly every healthy release, so nothing here moves traffic.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from detectors.gaussian.online import OnlineGaussian, OnlineGaussianState
from detectors.protocol import Score
from detectors.summaries.counts import Counts
from detectors.summaries.summary import Summary
from releases.sentence import amount, quantity
from schemas.evidence import Evidence, Verdict
from schemas.plan import Metric, Plan

WINDOW_MS = 5_000
"""Log time that one observed value covers."""

OBSERVER = OnlineGaussian(forgetting=0.02)


class Seen(msgspec.Struct, frozen=True):
    """One metric of one version: its past, its last value and what the past said of it, with the values behind it."""

    past: OnlineGaussianState
    value: float | None = None
    score: Score = Score(None, None, None)
    n: int = 0


class Watched(msgspec.Struct, frozen=True):
    """The window that is being filled, and per version and metric what was seen before."""

    window: int = -1
    filling: dict[str, tuple[Summary, ...]] = {}
    seen: dict[str, dict[str, Seen]] = {}


def start(plan: Plan) -> Watched:
    """Nothing seen of any version."""
    nothing = {metric.label: Seen(OBSERVER.start()) for metric in plan.metrics}
    return Watched(seen={version: dict(nothing) for version in (plan.baseline, *plan.canaries)})


def observe(plan: Plan, watched: Watched, beat: Mapping[tuple[str, str], Summary], *, beat_end_ms: int) -> Watched:
    """Add one beat; when it begins a new window, the last one is scored and then learned."""
    window = (beat_end_ms - 1) // WINDOW_MS
    seen, filling = watched.seen, dict(watched.filling)
    if window != watched.window:
        seen = {version: _scored(plan, seen[version], filling.get(version, ())) for version in seen}
        filling = {}
    for (version, _), summary in sorted(beat.items(), key=lambda item: item[0]):
        filling[version] = (*filling.get(version, ()), summary)
    return Watched(window, filling, seen)


def _scored(plan: Plan, seen: dict[str, Seen], parts: tuple[Summary, ...]) -> dict[str, Seen]:
    if not parts:
        return seen
    whole = Summary.merge_all(parts)
    return {metric.label: _next(seen[metric.label], *_value(metric, whole)) for metric in plan.metrics}


def _value(metric: Metric, summary: Summary) -> tuple[float | None, int]:
    if metric.kind == "rate":
        return summary.requests.value, summary.requests.n
    if metric.kind == "mix":
        counts = summary.labels.get(metric.name.removeprefix("labels."), Counts.empty())
        return counts.variety, counts.n
    measure = summary.metrics.get(metric.name)
    if measure is None:
        return None, 0
    return (measure.moments.value if metric.level is None else measure.quantile(metric.level)), measure.moments.n


def _next(seen: Seen, value: float | None, n: int) -> Seen:
    if value is None:
        return msgspec.structs.replace(seen, value=None, score=Score(None, None, None), n=0)
    score = OBSERVER.score(seen.past, value)
    return Seen(OBSERVER.learn(seen.past, value), value, score, n)


def evidence(plan: Plan, watched: Watched) -> tuple[Evidence, ...]:
    """What is unusual now: a row for each metric of a canary whose observer raises an alarm."""
    rows = []
    for version in plan.canaries:
        for metric in plan.metrics:
            seen = watched.seen[version][metric.label]
            if seen.score.alarm:
                rows.append(_row(metric, version, seen))
    return tuple(rows)


def _row(metric: Metric, version: str, seen: Seen) -> Evidence:
    z = "" if seen.score.z is None else f", {seen.score.z:+.1f} standard deviations from its own past"
    shown = quantity(metric, seen.value) if metric.level is not None else amount(metric, seen.value)
    if metric.kind == "mix":
        shown = f"{shown} of pairs of answers differ"
    said = f"{shown} in the last {WINDOW_MS // 1000} s{z}"
    return Evidence(
        metric=metric.label,
        segment="",
        version=version,
        detector=OBSERVER.NAME,
        detector_version=OBSERVER.VERSION,
        role="observe",
        verdict=Verdict.INCONCLUSIVE,
        n_baseline=0,
        n_canary=seen.n,
        sentence=f"{metric.label} of {version} is unusual: {said}; this alerts only",
        canary=seen.value,
    )
