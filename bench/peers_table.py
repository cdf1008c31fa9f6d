"""The table of other stream processors in bench/README.md, from what `python -m bench.peers` wrote."""

from __future__ import annotations

from typing import Any


def peers_table(found: dict[str, Any]) -> str:
    """Events a second and CPU time of each, and how many times as fast Serinus is with JSON records."""
    head = ("program", "events timed", "events/s", "Serinus is faster", "CPU per event", "of Serinus' CPU", "bar")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in found["peers"]:
        compared = row["bar"] is not None
        cells = (
            row["name"],
            f"{row['events']:,}",
            f"{row['events_per_s']:,}",
            f"{row['serinus_times_as_fast']:.2f} ×" if compared else "",
            f"{row['cpu_us_per_event']:.2f} µs",
            f"{row['times_the_cpu_of_serinus']:.2f} ×" if compared else "",
            f"≥ {row['bar']:g} ×" if compared else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    said = f"Medians of {found['rounds']} rounds; all counts of all cells are right, or a program is not in the table."
    missing = [f"Not measured: {name}: {reason}" for name, reason in found["failed"].items()]
    return "\n".join([*lines, "", said, *missing])
