"""Sentences: what a verdict means, for somebody who is woken at three in the morning."""

from __future__ import annotations

import math

from schemas.plan import Metric

_SUFFIX_MS = ("_ms",)


def amount(metric: Metric, value: float | None) -> str:
    """A value in words: rates as percentages, milliseconds with their unit, numbers to three digits.

    >>> amount(Metric("error_rate"), 0.0487), amount(Metric("latency_ms"), 212.3), amount(Metric("latency_ms"), None)
    ('4.87 %', '212 ms', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if metric.kind == "rate":
        return f"{_digits(100 * value)} %"
    return f"{_digits(value)} ms" if metric.name.endswith(_SUFFIX_MS) else _digits(value)


def degradation(metric: Metric, harm: float) -> str:
    """A degradation in words: points for rates, a percentage for values.

    >>> degradation(Metric("error_rate"), 0.005), degradation(Metric("latency_ms"), 0.1)
    ('0.5 points', '10 %')
    """
    size = _digits(100 * harm)
    if metric.kind != "rate":
        return f"{size} %"
    return f"{size} point" if size == "1" else f"{size} points"


def comparison(metric: Metric, *, canary: float | None, baseline: float | None, versions: tuple[str, str]) -> str:
    """``error_rate 4.87 % (v2) vs 1.02 % (v1)``; ``versions`` are canary and baseline."""
    ours, theirs = versions
    text = f"{metric.label} {amount(metric, canary)} ({ours}) vs {amount(metric, baseline)} ({theirs})"
    if metric.kind != "rate" and canary is not None and baseline:
        return f"{text}, {100 * (canary / baseline - 1):+.1f} %"
    return text


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
