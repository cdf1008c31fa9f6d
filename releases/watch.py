"""The observers of a release: each version against its own past. They alert and explain; they never decide.

A 3-sigma rule that looks at every window fires on nearly every healthy release, so nothing here moves traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from detectors.adaptive.drift import Drift, DriftState
from detectors.blocks import with_part
from detectors.gaussian.online import OnlineGaussian, OnlineGaussianState
from detectors.gaussian.seasonal import SeasonalGaussian, SeasonalState, Timed
from detectors.gaussian.two_sample import Pair, TwoSample, TwoSampleState
from detectors.protocol import Score
from detectors.summaries.counts import Counts
from detectors.summaries.measure import Measure
from detectors.summaries.moments import Moments
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases import watch_vectors
from releases.seasons import WINDOW_MS, season_text, seasonal_of
from releases.sentence import amount, quantity
from schemas.evidence import Evidence, Verdict
from schemas.metric import Metric
from schemas.plan import Plan

OBSERVER = OnlineGaussian(forgetting=0.02)
COMPARER = TwoSample()
ADWIN, PAGE_HINKLEY = Drift(method="adwin"), Drift(method="page-hinkley")


UNKNOWN = Score(None, None, None)


class Seen(msgspec.Struct, frozen=True):
    """One metric of one version.

    Parameters
    ----------
    past, adwin, page_hinkley, pairs : what the observers know: of its own past, and of pairs with the baseline.
    season : what is known of its season, in place of ``past``; None without one.
    value, n : of the last window, and the values behind it.
    score, drifted, pair : what they said of the last window.
    """

    past: OnlineGaussianState
    adwin: DriftState
    page_hinkley: DriftState
    pairs: TwoSampleState
    season: SeasonalState | None = None
    value: float | None = None
    n: int = 0
    score: Score = UNKNOWN
    drifted: bool = False
    pair: Score = UNKNOWN


class Watched(msgspec.Struct, frozen=True):
    """The window that is being filled, and what was seen before: of each metric, and of all metrics together."""

    window: int = -1
    filling: dict[str, tuple[Summary, ...]] = {}
    seen: dict[str, dict[str, Seen]] = {}
    together: dict[str, watch_vectors.Together] = {}


def start(plan: Plan) -> Watched:
    """Nothing seen of any version."""
    one = Seen(OBSERVER.start(), ADWIN.start(), PAGE_HINKLEY.start(), COMPARER.start())
    versions = (plan.baseline, *plan.canaries)
    seasons = {m.label: None if m.season is None else seasonal_of(m.season).start() for m in plan.measured}
    seen = {v: {label: msgspec.structs.replace(one, season=of) for label, of in seasons.items()} for v in versions}
    return Watched(seen=seen, together={version: watch_vectors.start(len(plan.measured)) for version in versions})


def observe(plan: Plan, watched: Watched, beat: Mapping[tuple[str, str], Summary], *, beat_end_ms: int) -> Watched:
    """Add one beat; when it begins a new window, the last one is scored and then learned."""
    window = (beat_end_ms - 1) // WINDOW_MS
    seen, together, filling = watched.seen, watched.together, dict(watched.filling)
    if window != watched.window:
        whole = {version: Summary.merge_all(parts) for version, parts in filling.items()}
        baseline = whole.get(plan.baseline)
        at_ms = watched.window * WINDOW_MS
        together = {
            v: watch_vectors.observe(together[v], _vector(plan, seen[v], whole.get(v), at_ms)) for v in together
        }
        seen = {v: _scored(plan, seen[v], whole.get(v), None if v == plan.baseline else baseline, at_ms) for v in seen}
        filling = {}
    arrived: dict[str, list[Summary]] = {}
    for version, segment in sorted(beat):
        arrived.setdefault(version, []).append(beat[version, segment])
    for version, parts in arrived.items():
        filling[version] = with_part(filling.get(version, ()), _needed(_needs(plan), parts))
    return Watched(window, filling, seen, together)


class _Needs(NamedTuple):
    """Names of metrics and of labels that a plan's windows are made of; of some metrics also the histogram."""

    metrics: tuple[str, ...]
    histograms: frozenset[str]
    labels: tuple[str, ...]


@lru_cache(maxsize=256)
def _needs(plan: Plan) -> _Needs:
    mixes = tuple(metric.name.removeprefix("labels.") for metric in plan.measured if metric.kind == "mix")
    names = dict.fromkeys(metric.name for metric in plan.measured if metric.kind != "mix")
    return _Needs(tuple(names), frozenset(m.name for m in plan.measured if m.level is not None), mixes)


def _needed(needs: _Needs, parts: list[Summary]) -> Summary:
    """All segments as one, and of them what a window's values are made of: most of a summary are histograms."""
    metrics = {name: [part.metrics[name] for part in parts if name in part.metrics] for name in needs.metrics}
    labels = {name: [part.labels[name] for part in parts if name in part.labels] for name in needs.labels}
    return Summary(
        Rate(sum(part.requests.n for part in parts), sum(part.requests.k for part in parts)),
        {name: _measure(found, whole=name in needs.histograms) for name, found in metrics.items() if found},
        {name: Counts.merge_all(found) for name, found in labels.items() if found},
    )


def _measure(parts: list[Measure], *, whole: bool) -> Measure:
    return Measure.merge_all(parts) if whole else Measure(Moments.merge_all(part.moments for part in parts))


def _vector(plan: Plan, seen: dict[str, Seen], whole: Summary | None, at_ms: int) -> tuple[float, ...] | None:
    """The window's metrics in the plan's order, or None when one of them is missing, or its season not known yet."""
    if whole is None:
        return None
    found = [_beside_season(m, seen[m.label], _value(m, whole)[0], at_ms) for m in plan.measured]
    values = [value for value in found if value is not None]
    return tuple(values) if len(values) == len(plan.measured) else None


def _beside_season(metric: Metric, seen: Seen, value: float | None, at_ms: int) -> float | None:
    """A value as the observers without a sense of time see it: less what is usual then, so no season alarms them."""
    if value is None or metric.season is None or seen.season is None:
        return value
    usual = seasonal_of(metric.season).usual(seen.season, at_ms)
    return None if usual is None else value - usual


def _scored(
    plan: Plan, seen: dict[str, Seen], whole: Summary | None, baseline: Summary | None, at_ms: int
) -> dict[str, Seen]:
    if whole is None:
        return {label: _silent(one) for label, one in seen.items()}
    after = {m.label: _next(m, seen[m.label], *_value(m, whole), at_ms) for m in plan.measured}
    if baseline is not None:
        for metric in plan.measured:
            pair = _pair(metric, whole, baseline)
            one = after[metric.label]
            if pair is not None:
                said = COMPARER.score(one.pairs, pair)
                after[metric.label] = msgspec.structs.replace(one, pair=said, pairs=COMPARER.learn(one.pairs, pair))
    return after


def _silent(seen: Seen) -> Seen:
    return msgspec.structs.replace(seen, value=None, n=0, score=UNKNOWN, drifted=False, pair=UNKNOWN)


def _pair(metric: Metric, ours: Summary, theirs: Summary) -> Pair | None:
    if metric.kind == "rate":
        return ours.requests, theirs.requests
    if metric.kind == "mix":
        # Variety, which a version is compared with its own past by, misses two values that change places.
        name = metric.name.removeprefix("labels.")
        return ours.labels.get(name, Counts.empty()), theirs.labels.get(name, Counts.empty())
    if metric.kind != "mean" or metric.name not in ours.metrics or metric.name not in theirs.metrics:
        return None
    return ours.metrics[metric.name].moments, theirs.metrics[metric.name].moments


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


def _next(metric: Metric, seen: Seen, value: float | None, n: int, at_ms: int) -> Seen:
    if value is None:
        return _silent(seen)
    seen = msgspec.structs.replace(_drifted(seen, _beside_season(metric, seen, value, at_ms)), value=value, n=n)
    if metric.season is None or seen.season is None:
        score, past = OBSERVER.score(seen.past, value), OBSERVER.learn(seen.past, value)
        return msgspec.structs.replace(seen, score=score, past=past)
    observer, timed = seasonal_of(metric.season), Timed(at_ms, value)
    score, season = observer.score(seen.season, timed), observer.learn(seen.season, timed)
    return msgspec.structs.replace(seen, score=score, season=season)


def _drifted(seen: Seen, value: float | None) -> Seen:
    if value is None:
        return _silent(seen)
    adwin, page_hinkley = (d.score(s, value).alarm for d, s in ((ADWIN, seen.adwin), (PAGE_HINKLEY, seen.page_hinkley)))
    return msgspec.structs.replace(
        _silent(seen),
        adwin=ADWIN.learn_scored(seen.adwin, value, bool(adwin)),
        page_hinkley=PAGE_HINKLEY.learn_scored(seen.page_hinkley, value, bool(page_hinkley)),
        drifted=bool(adwin or page_hinkley),
    )


def evidence(plan: Plan, watched: Watched) -> tuple[Evidence, ...]:
    """What is unusual now: a row for each observer of a canary that raises an alarm."""
    rows = []
    for version in plan.canaries:
        for metric in plan.measured:
            seen = watched.seen[version][metric.label]
            if seen.score.alarm:
                z = "" if seen.score.z is None else f", {seen.score.z:+.1f} standard deviations from its own past"
                said = f"is unusual: {_shown(metric, seen)}{z}{season_text(metric)}"
                by = OBSERVER if metric.season is None else seasonal_of(metric.season)
                rows.append(_row(metric, version, seen, by, said))
            if seen.drifted:
                rows.append(_row(metric, version, seen, ADWIN, f"changed its level: {_shown(metric, seen)}"))
            if seen.pair.alarm and seen.pair.z is not None:
                apart = f"{seen.pair.z:+.1f} standard errors from {plan.baseline}"
                rows.append(_row(metric, version, seen, COMPARER, f"differs: {_shown(metric, seen)}, {apart}"))
        rows += watch_vectors.evidence(version, tuple(m.label for m in plan.measured), watched.together[version])
    return tuple(rows)


def _shown(metric: Metric, seen: Seen) -> str:
    shown = quantity(metric, seen.value) if metric.level is not None else amount(metric, seen.value)
    if metric.kind == "mix":
        shown = f"{shown} of pairs of answers differ"
    return f"{shown} in the last {WINDOW_MS // 1000} s"


def _row(
    metric: Metric, version: str, seen: Seen, by: OnlineGaussian | SeasonalGaussian | Drift | TwoSample, said: str
) -> Evidence:
    return Evidence(
        metric=metric.label,
        segment="",
        version=version,
        detector=by.NAME,
        detector_version=by.VERSION,
        role="observe",
        verdict=Verdict.INCONCLUSIVE,
        n_baseline=0,
        n_canary=seen.n,
        sentence=f"{metric.label} of {version} {said}; this alerts only",
        canary=seen.value,
    )
