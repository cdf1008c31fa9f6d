"""Sentences: what a verdict means, for somebody who is woken at three in the morning."""

from __future__ import annotations

import math
from typing import NamedTuple

from detectors.sequential.effect import Estimate
from releases.wording import delay_text
from schemas.metric import DELAY, Metric

_SUFFIX_MS = ("_ms",)


def amount(metric: Metric, value: float | None) -> str:
    """A value in words: rates and shares beyond a quantile as percentages, the rest as :func:`quantity`.

    >>> amount(Metric("error_rate"), 0.0487), amount(Metric("latency_ms"), 212.3), amount(Metric("latency_ms"), None)
    ('4.87 %', '212 ms', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if metric.kind in {"rate", "mix"} or metric.level is not None:
        return f"{_digits(100 * value)} %"
    return quantity(metric, value)


def quantity(metric: Metric, value: float | None) -> str:
    """A value in the metric's own unit: milliseconds with it, delays of feedback as people say them, else three digits.

    >>> quantity(Metric("latency_ms", statistic="p99"), 812.3)
    '812 ms'
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if metric.name == DELAY:
        return delay_text(value)
    return f"{_digits(value)} ms" if metric.name.endswith(_SUFFIX_MS) else _digits(value)


def percentage(share: float) -> str:
    """A share in words.

    >>> percentage(0.0241)
    '2.41 %'
    """
    return f"{_digits(100 * share)} %"


def percentages(low: float, high: float) -> str:
    """An interval of shares in words.

    >>> percentages(0.0172, 0.0325)
    '1.72 to 3.25 %'
    """
    return f"{_digits(100 * low)} to {_digits(100 * high)} %"


def degradation(metric: Metric, harm: float) -> str:
    """A degradation in words: points for rates and shares, a percentage for values.

    >>> degradation(Metric("error_rate"), 0.005), degradation(Metric("latency_ms"), 0.1)
    ('0.5 points', '10 %')
    """
    size = _digits(100 * harm)
    if metric.range is not None:
        return f"{_digits(harm * (metric.range[1] - metric.range[0]))} ({size} % of the range)"
    if metric.kind not in {"rate", "mix"}:
        return f"{size} %"
    return f"{size} point" if size == "1" else f"{size} points"


class Arms(NamedTuple):
    """Names and values of the two versions that are compared."""

    canary: str
    canary_value: float | None
    baseline: str
    baseline_value: float | None


def comparison(metric: Metric, arms: Arms, *, detail: float | str | None = None) -> str:
    """What was measured of both, in words.

    Parameters
    ----------
    metric : what was measured.
    arms : rates and means; for a quantile the shares beyond its threshold, for a mix those of one value.
    detail : the baseline's quantile in the metric's unit, or the label's value.

    >>> comparison(Metric("error_rate"), Arms("v2", 0.0487, "v1", 0.0102))
    'error_rate 4.87 % (v2) vs 1.02 % (v1)'
    >>> comparison(Metric("latency_ms", statistic="p99"), Arms("v2", 0.031, "v1", 0.01), detail=812.0)
    'latency_ms p99: 3.1 % (v2) vs 1 % (v1) are above 812 ms'
    >>> comparison(Metric("labels.finish_reason"), Arms("v2", 0.2, "v1", 0.1), detail="length")
    'labels.finish_reason=length: 20 % (v2) vs 10 % (v1)'
    """
    ours, theirs = amount(metric, arms.canary_value), amount(metric, arms.baseline_value)
    both = f"{ours} ({arms.canary}) vs {theirs} ({arms.baseline})"
    if metric.level is not None:
        side = "at most" if metric.worse == "lower" else "above"
        return f"{metric.label}: {both} are {side} {quantity(metric, detail if isinstance(detail, float) else None)}"
    if metric.kind == "mix":
        return f"{metric.label}={detail}: {both}" if detail is not None else f"{metric.label} {both}"
    text = f"{metric.label} {both}"
    if metric.kind != "rate" and arms.canary_value is not None and arms.baseline_value:
        return f"{text}, {100 * (arms.canary_value / arms.baseline_value - 1):+.1f} %"
    return text


def lately_text(metric: Metric, arms: Arms, estimate: Estimate, where: str, detail: float | str | None) -> str:
    """What both versions showed lately, when that is what the harm is; or nothing.

    Parameters
    ----------
    metric, arms, detail : as for :func:`comparison`, since the start.
    estimate : of both, with the newest stretch.
    where : the segment, and what was counted.

    >>> from detectors.sequential.lately import Stretch
    >>> arms = Arms("v2", 0.0105, "v1", 0.0096)
    >>> found = Estimate(45_000, 45_633, 0.0096, 0.0105, 0.0009, None, None, Stretch(931, 0.0102, 0.0487))
    >>> lately_text(Metric("error_rate"), arms, found, "", None)
    'error_rate 4.87 % (v2) vs 1.02 % (v1) in the last 931 requests of v2 (1.05 % vs 0.96 % in all 45,633)'
    """
    newest = estimate.lately
    if newest is None or not _harmful(metric, newest.canary - newest.baseline):
        return ""
    pair = comparison(metric, arms._replace(canary_value=newest.canary, baseline_value=newest.baseline), detail=detail)
    what = "pieces of feedback on" if metric.delayed else "requests of"
    since = f"{amount(metric, arms.canary_value)} vs {amount(metric, arms.baseline_value)} in all {estimate.n_canary:,}"
    return f"{pair}{where} in the last {newest.n_canary:,} {what} {arms.canary} ({since})"


def _harmful(metric: Metric, difference: float) -> bool:
    """Whether a difference is in the direction that the metric calls worse. More beyond a quantile always is."""
    if metric.worse == "either" or metric.kind == "mix":
        return True
    return (difference > 0) == (metric.worse == "higher" or metric.level is not None)


def once_in(log_evidence: float) -> str:
    """How often chance alone shows as much: at most once in E healthy releases, by Ville's inequality.

    >>> once_in(math.log(2000)), once_in(-1.0), once_in(800.0)
    ('at most 1 in 2,000 healthy releases would show this', 'chance alone shows this often', \
'at most 1 in 1,000,000,000 healthy releases would show this')
    """
    if log_evidence <= math.log(2):
        return "chance alone shows this often"
    releases = min(math.floor(math.exp(min(log_evidence, 30.0)) + 1e-9), 1_000_000_000)
    return f"at most 1 in {releases:,} healthy releases would show this"


def _digits(value: float) -> str:
    """Three significant digits, without an exponent where people would not write one."""
    text = f"{value:.3g}"
    return f"{float(text):,.0f}" if "e" in text and abs(value) < 1e12 else text
