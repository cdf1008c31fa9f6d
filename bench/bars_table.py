"""The table of bars in bench/README.md, from what `python -m bench.bars` wrote."""

from __future__ import annotations

from typing import Any

MISSED_MAX = 0.1
"""With more releases than this in which it never came, there is no 90th percentile."""


def bars_table(found: dict[str, Any]) -> str:
    """What each line asks for, and what was measured."""
    lines = ["| what | in | at most | median | 90th percentile | share |", "|---|---|---|---|---|---|"]
    for bar in found["bars"]:
        limit = "" if bar["limit"] is None else _percent(bar["limit"]) if "share" in bar else f"{bar['limit']:,}"
        median = f"{bar['median']:,.0f}" if "median" in bar else ""
        p90 = f"{bar['p90']:,.0f}" if bar.get("missed", 1.0) < MISSED_MAX else ""
        share = _percent(bar["share"]) if "share" in bar else ""
        lines.append(f"| {' | '.join((bar['name'], bar['unit'], limit, median, p90, share))} |")
    return "\n".join([*lines, "", f"{found['releases']:,} releases in each line."])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
