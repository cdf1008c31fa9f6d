"""The table of other stream processors in bench/README.md, from what `python -m bench.peers` wrote."""

from __future__ import annotations

from typing import Any


def peers_table(found: dict[str, Any]) -> str:
    """Events a second and CPU time of each, and how many times as fast Serinus is with JSON records."""
    lines = ["| program | events timed | events/s | CPU per event | Serinus is | bar |", "|---|---|---|---|---|---|"]
    for row in found["peers"]:
        bar = "" if row["bar"] is None else f"≥ {row['bar']:g} ×"
        times = "" if row["bar"] is None else f"{row['serinus_times_as_fast']:.2f} ×"
        cells = (row["name"], f"{row['events']:,}", f"{row['events_per_s']:,}", f"{row['cpu_us_per_event']:.2f} µs")
        lines.append(f"| {' | '.join((*cells, times, bar))} |")
    missing = [f"Not measured: {name}: {reason}" for name, reason in found["failed"].items()]
    said = (
        f"Medians of {found['rounds']} rounds; every count of every cell is right, or the program is not in the table."
    )
    return "\n".join([*lines, "", said, *missing])
