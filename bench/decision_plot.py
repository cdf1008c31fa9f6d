"""The picture of bench/README.md: who errs, and after how many canary requests harm is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SHOWN = {
    "Serinus": ("#d62728", "o"),
    "fixed thresholds, limit 5": ("#7f7f7f", "s"),
    "Mann–Whitney 98 %, tolerance 0.25": ("#9467bd", "^"),
    "confidence sequence, pooled": ("#1f77b4", "v"),
    "oracle SPRT": ("#2ca02c", "|"),
}


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the picture as SVG, the same bytes for the same results."""
    cases: dict[str, Any] = found["cases"]
    healthy = [one["rules"] for one in cases.values() if one["healthy"]]
    harmful = {name: one["rules"] for name, one in cases.items() if not one["healthy"]}
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 7), layout="constrained")
        errs, finds = figure.subplots(1, 2, width_ratios=[1, 2])
        _false_rollbacks(errs, healthy)
        _requests(finds, harmful)
        figure.savefig(path, metadata={"Date": None})


def _false_rollbacks(axes: Axes, healthy: list[dict[str, Any]]) -> None:
    names = sorted({rule for rules in healthy for rule in rules}, reverse=True)
    shares = []
    for name in names:
        rows = [rules[name] for rules in healthy if name in rules]
        shares.append(100 * sum(row["rolled_back"] for row in rows) / sum(row["runs"] for row in rows))
    axes.barh(names, shares, color=["#d62728" if name == "Serinus" else "#c7c7c7" for name in names])
    axes.axvline(5, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("healthy releases rolled back, %")
    axes.set_xlim(0, 100)


def _requests(axes: Axes, harmful: dict[str, Any]) -> None:
    names = sorted(harmful, reverse=True)
    for rule, (colour, marker) in SHOWN.items():
        at = [(row["requests_median"], y) for y, name in enumerate(names) if (row := harmful[name].get(rule))]
        known = [(x, y) for x, y in at if x is not None]
        axes.plot(*zip(*known, strict=True), marker, color=colour, label=rule, markersize=7, alpha=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    axes.set_xlabel("canary requests until the rollback, median (where one was rolled back)")
    axes.grid(axis="y", linewidth=0.4)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False)
