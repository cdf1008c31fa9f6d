"""The tables of decisions in bench/README.md, from what `python -m bench.decisions` wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ORDER = (
    "Serinus",
    "3-sigma per window",
    "fixed thresholds, limit 5",
    "Mann–Whitney 98 %, tolerance 0.25",
    "z test, fixed horizon",
    "z test, peeking",
    "mSPRT, pooled",
    "confidence sequence, pooled",
    "Argo Rollouts 1.9.0, its own code",
    "oracle SPRT",
)


def decisions_table(found: dict[str, Any]) -> str:
    """False rollbacks by rule, then what each rule made of each case."""
    cases: dict[str, Any] = found["cases"]
    healthy = {name: one["rules"] for name, one in cases.items() if one["healthy"]}
    harmful = {name: one["rules"] for name, one in cases.items() if not one["healthy"]}
    parts = [
        _overview(healthy, harmful),
        f"Rolled back or held of healthy releases, {found['runs']} runs of each case:",
        _grid(healthy, _false),
        "Harmful releases: stopped / promoted; canary requests until then, and seconds since the onset, "
        "each as median [90th percentile]:",
        _grid(harmful, _detected),
    ]
    return "\n\n".join(parts)


def _overview(healthy: dict[str, Any], harmful: dict[str, Any]) -> str:
    lines = [
        "| rule | false rollbacks | harm stopped | false promotions | users' requests harmed, mean |",
        "|---|---|---|---|---|",
    ]
    for rule in ORDER:
        good = [rows[rule] for rows in healthy.values() if rule in rows]
        bad = [rows[rule] for rows in harmful.values() if rule in rows]
        if not bad:
            continue
        cells = (
            _share(good, "rolled_back", "held", also=sum(row["rolled_back_early"] for row in bad)),
            _share(bad, "rolled_back", "held", "rolled_back_by_limit"),
            _share(bad, "promoted"),
            f"{sum(row['harmed_mean'] for row in bad) / len(bad):,.0f}",
        )
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(rows: list[dict[str, Any]], *states: str, also: int = 0) -> str:
    runs = sum(row["runs"] for row in rows)
    early = f" and {also} before the harm" if also else ""
    return f"{sum(row[state] for row in rows for state in states)} of {runs}{early}" if runs else "-"


def _grid(cases: dict[str, Any], cell: Callable[[dict[str, Any]], str]) -> str:
    rules = [rule for rule in ORDER if any(rule in rows for rows in cases.values())]
    lines = [f"| scenario | plan | {' | '.join(rules)} |", f"|---|---|{'---|' * len(rules)}"]
    for name, rows in cases.items():
        cells = " | ".join(cell(rows[rule]) if rule in rows else "" for rule in rules)
        lines.append(f"| {' | '.join(name.split('/'))} | {cells} |")
    return "\n".join(lines)


def _false(row: dict[str, Any]) -> str:
    limit = f" + {row['rolled_back_by_limit']} by a limit" if row["rolled_back_by_limit"] else ""
    held = f" + {row['held']} held" if row["held"] else ""
    return f"{row['rolled_back']}{held}{limit}"


def _detected(row: dict[str, Any]) -> str:
    ended = row["rolled_back"] + row["held"] + row["rolled_back_by_limit"]
    text = f"{ended} / {row['promoted']}"
    if row["rolled_back_early"]:
        text += f" ({row['rolled_back_early']} before the harm)"
    if row["requests_median"] is None:
        return text
    requests = f"{row['requests_median']:,.0f} [{row['requests_p90']:,.0f}]"
    return f"{text}; {requests}; {row['after_s_median']:,.0f} s [{row['after_s_p90']:,.0f} s]"
