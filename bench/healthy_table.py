"""The table of healthy releases in bench/README.md, from what `python -m bench.healthy` wrote."""

from __future__ import annotations

from math import sqrt
from typing import Any

Z = 1.96


def interval(hits: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a share.

    >>> [round(100 * bound, 2) for bound in interval(0, 2000)]
    [0.0, 0.19]
    """
    share, spread = hits / n, Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), middle + half


def healthy_table(found: dict[str, Any]) -> str:
    """How each case ended, in how many releases the split looked broken, and how many a core simulated in a minute."""
    lines = [
        "| scenario | plan | releases | rolled back by evidence (95 % interval) | limit: 5 % + 2 s.e. "
        "| promoted | by a limit | still open | split ERROR | a minute and core |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    alpha = found["alpha"]
    for case, counts in found["cases"].items():
        n = int(counts["releases"])
        low, high = interval(counts.get("rolled_back", 0), n)
        ends = (f"{counts.get(name, 0):,.0f}" for name in ("promoted", "rolled_back_by_limit", "open"))
        false = f"{100 * counts.get('rolled_back', 0) / n:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
        limit = alpha + 2 * sqrt(alpha * (1 - alpha) / n)
        split = f"{counts['split_error']:,.0f}" if "split_error" in counts else ""
        speed = f"{60 * n / counts['core_s']:,.0f}"
        cells = (*case.split("/"), f"{n:,}", false, f"{100 * limit:.1f} %", *ends, split, speed)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
