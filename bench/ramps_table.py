"""The table and the picture of ramps in bench/README.md, from what `python -m bench.ramps` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = list[list[Any]]
"""State, minutes until it ended, requests that the canary answered; of each seed."""

SHOWN = ("errors-1-to-5", "errors-1-to-2", "errors-0.1-to-0.5", "one-segment-of-ten")
STYLES = (
    ("#1f77b4", "o"),
    ("#17becf", "s"),
    ("#2ca02c", "^"),
    ("#bcbd22", "v"),
    ("#d62728", "o"),
    ("#e377c2", "s"),
    ("#7f7f7f", "D"),
)
OTHERS = ("#9467bd", "*")
OURS, PEER = "adaptive, 210s holds", "stages, 22 min"
"""A healthy canary takes about as long by both."""
CHOSEN_ON = 300
"""On so many seeds the rule, the first share and the holds were chosen, or variants looked at and rejected: they say
nothing any more."""


def ramps_table(found: dict[str, Any]) -> str:
    """Good canaries first, then the harm of bad ones."""
    runs, seeds = found["runs"], _seeds(found)
    head = f"| {' | '.join(runs)} |\n|---|{'---|' * len(runs)}"
    good = [f"| {name} | {_cells(runs, name, _minutes)} |" for name in found["good"]]
    bad = [
        f"| {name} | {_cells(runs, name, lambda rows, excess=excess: _harmed(rows, excess))} |"
        for name, excess in found["bad"].items()
    ]
    return "\n".join(
        [
            f"Minutes until a good canary has everything, median [90th percentile] of {seeds} releases; "
            "how many were promoted, when not all:",
            "",
            f"| good {head}",
            *good,
            "",
            "Users harmed by a bad one: expected extra failed requests, where its errors are the harm, else (r) the "
            "requests that it answered; median [90th percentile]; how many were promoted, when any:",
            "",
            f"| bad {head}",
            *bad,
            "",
            f"The same releases by `{OURS}` and by `{PEER}`: means in minutes, then in users harmed, their difference "
            "with its 95 % interval, and in how many releases it was less, the same, more. Of seeds on which nothing "
            f"was chosen, {CHOSEN_ON} and above:",
            "",
            "| | adaptive | stages | difference | less / same / more |",
            "|---|---|---|---|---|",
            *(f"| {name} | {_paired(found, name, _took)} |" for name in found["good"]),
            *(
                f"| {name} | {_paired(found, name, lambda row, excess=excess: harm_of([row], excess)[0])} |"
                for name, excess in found["bad"].items()
            ),
        ]
    )


def _took(row: list[Any]) -> float:
    """Minutes; one that was not promoted in its hour counts as an hour."""
    return float(row[1]) if row[0] == "promoted" else 60.0


def _paired(found: dict[str, Any], name: str, of: Any) -> str:
    """What the same seeds gave by both ramps: traffic and luck are the same then, and cancel."""
    ours, theirs = (found["runs"][ramp][name] for ramp in (OURS, PEER))
    seeds = [seed for seed in ours if seed in theirs and int(seed) >= CHOSEN_ON]
    pairs = [(of(ours[seed]), of(theirs[seed])) for seed in seeds]
    differences = np.array([our - their for our, their in pairs])
    our_mean, their_mean = np.mean(pairs, axis=0)
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(differences.size)
    wide = float(scipy.stats.t.ppf(0.975, differences.size - 1)) * error
    near = np.abs(differences) < 0.5
    counts = ((differences < 0) & ~near).sum(), near.sum(), ((differences > 0) & ~near).sum()
    difference = f"{mean:+,.1f} ({mean - wide:+,.1f} to {mean + wide:+,.1f})"
    return f"{our_mean:,.1f} | {their_mean:,.1f} | {difference} | {' / '.join(str(n) for n in counts)}"


def _seeds(found: dict[str, Any]) -> str:
    counts = {len(rows) for its in found["runs"].values() for rows in its.values()}
    return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _cells(runs: dict[str, Any], name: str, cell: Any) -> str:
    return " | ".join(cell(list(its[name].values())) if name in its else "" for its in runs.values())


def _minutes(rows: Rows) -> str:
    took = [minutes for state, minutes, _ in rows if state == "promoted"]
    if not took:
        stopped = sum(state == "rolled_back" for state, _, _ in rows)
        return f"none of {len(rows)}, {stopped} stopped"
    short = "" if len(took) == len(rows) else f"; {len(took)} of {len(rows)}"
    return f"{np.median(took):.0f} [{np.percentile(took, 90):.0f}]{short}"


def harm_of(rows: Rows, excess: float | None) -> list[float]:
    """Of each release, the users harmed."""
    return [requests * (1.0 if excess is None else excess) for _, _, requests in rows]


def _harmed(rows: Rows, excess: float | None) -> str:
    harm = harm_of(rows, excess)
    promoted = sum(state == "promoted" for state, _, _ in rows)
    kind = " r" if excess is None else ""
    text = f"{np.median(harm):,.0f} [{np.percentile(harm, 90):,.0f}]{kind}"
    return f"{text}; {promoted} promoted" if promoted else text


def draw_ramps(found: dict[str, Any], path: Path) -> None:
    """Harm against time: to the left is soon, below is safe. SVG, the same bytes for the same results."""
    with mpl.rc_context({"svg.hashsalt": "serinus", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        panels = figure.subplots(1, len(SHOWN), sharex=True)
        for axes, name in zip(panels, SHOWN, strict=True):
            _panel(axes, found, name)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=7, frameon=False)
        panels[0].set_ylabel("extra failed requests, median to p90")
        figure.supxlabel("minutes until a healthy canary has everything, median (60: not within the hour)", fontsize=9)
        figure.savefig(path, metadata={"Date": None})


def _panel(axes: Axes, found: dict[str, Any], name: str) -> None:
    for (ramp, its), (colour, marker) in zip(found["runs"].items(), (*STYLES, OTHERS), strict=True):
        if name not in its or "healthy" not in its:
            continue
        took = [m if state == "promoted" else 60.0 for state, m, _ in its["healthy"].values()]
        harm = harm_of(list(its[name].values()), found["bad"][name])
        at, low, high = float(np.median(took)), float(np.median(harm)), float(np.percentile(harm, 90))
        axes.plot([at, at], [low, high], color=colour, linewidth=1)
        axes.plot([at], [low], marker, color=colour, markersize=6, label=ramp, linestyle="")
    axes.set_title(name, fontsize=9)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="both", labelsize=7)
    axes.set_xlim(0, 70)
    axes.grid(linewidth=0.3)
