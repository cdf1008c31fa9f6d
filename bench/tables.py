"""The tables of bench/README.md, from bench/results/*.json: `python -m bench.tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.bars_table import bars_table
from bench.decision_plot import draw
from bench.decision_table import decisions_table
from bench.growth import growth_table
from bench.healthy_table import healthy_table
from bench.latency import latency_table
from bench.live_ramps import live_ramps_table
from bench.memory import memory_table
from bench.peers_table import peers_table
from bench.ramps_table import draw_ramps, ramps_table
from bench.rollback import rollback_table
from bench.windows import windows_table
from bench.worker import worker_table

HERE = Path(__file__).parent
README = HERE / "README.md"


def result(name: str) -> dict[str, Any] | None:
    """What a benchmark wrote, or None when it has not run."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def ingest_table(found: dict[str, Any]) -> str:
    """Events a second of three steps, and their ratio."""
    per_s = found["events_per_s"]
    rows = [
        ("raw `consume`", per_s["consume"]),
        ("consume + msgspec decode", per_s["consume_decode"]),
        ("full ingest: columns, cells, two histograms, a label, four segments", per_s["ingest"]),
    ]
    lines = ["| step | events/s |", "|---|---|", *(f"| {name} | {rate:,} |" for name, rate in rows)]
    ratio, events = found["ingest_of_consume_decode"], found["events"]
    return "\n".join([*lines, "", f"Full ingest runs at **{ratio:.2f}** of consume + decode ({events:,} events)."])


def packed_table(found: dict[str, Any]) -> str:
    """Events a second by how many share a record."""
    lines = [
        "| events a record | bytes an event | `consume` alone | full ingest | CPU an event |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        name = f"{row['events_per_record']}{', with units' if row['units'] else ''}"
        consumed, counted = row["events_per_s"]["consume"] / 1e6, row["events_per_s"]["ingest"] / 1e6
        cpu_ns = row["cpu_ns_per_event"]
        lines.append(f"| {name} | {row['bytes_per_event']} | {consumed:.1f} M/s | {counted:.1f} M/s | {cpu_ns} ns |")
    return "\n".join([*lines, "", f"{found['events']:,} events each."])


def sharing_table(found: dict[str, Any]) -> str:
    """One process and two on the same topic."""
    lines = [
        "| records | processes | events/s | CPU an event, both together | share of each |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        name = "packed, 200 events each" if row["packed"] else "JSON"
        shares = ", ".join(f"{share:.0%}" for share in row["shares"])
        rate, cpu_ns = row["events_per_s"], row["cpu_ns_per_event"]
        lines.append(f"| {name} | {row['processes']} | {rate:,} | {cpu_ns:,} ns | {shares} |")
    return "\n".join([*lines, "", "Every event was counted once."])


def client_table(found: dict[str, Any]) -> str:
    """Microseconds of single calls."""
    lines = ["| call | n | median | p99 |", "|---|---|---|---|"]
    for name, row in found["rows"].items():
        lines.append(f"| {name} | {row['calls']:,} | {row['median']:.1f} µs | {row['p99']:.1f} µs |")
    return "\n".join(lines)


def nab_table(found: dict[str, Any]) -> str:
    """Scores of the observers on labelled series, with the limit on abs(z) in brackets."""
    lines = ["| detector | standard | low FP | low FN | standard at 3 sigma |", "|---|---|---|---|---|"]
    for name, profiles in found["scores"].items():
        scores = [f"{score:.1f} ({limit:.1f})" for score, limit in profiles.values()]
        at_3 = found["standard_at_3_sigma"].get(name)
        lines.append(f"| {name} | {' | '.join(scores)} | {'' if at_3 is None else f'{at_3:.0f}'} |")
    return "\n".join([*lines, "", f"{found['series']} series, {found['windows']} windows of anomalies."])


def judgement_table(found: dict[str, Any]) -> str:
    """CPU time of an evaluation, and simulated releases a minute."""
    head = "| counted | gates | segments | observe | rule | evaluation | the same in words | state |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for counted, rows in (("requests", found["evaluations"]), ("users", found["by_unit"])):
        for row in rows:
            times = (row[key] for key in ("observe_ms", "rule_ms", "evaluation_ms", "in_words_ms"))
            shown = " | ".join(f"{ms:.2f} ms" for ms in times)
            lines.append(f"| {counted} | {row['gates']} | {row['segments']} | {shown} | {row['state_kb']:,.0f} KB |")
    mixes = [(f"{m['values']}", f"{m['evaluation_ms']:.2f} ms and {m['state_kb']:,.0f} KB") for m in found["mixes"]]
    said = ", ".join(f"{values} values {cost}" for values, cost in mixes)
    per_minute, calls_ms = found["releases_per_minute"], found["numpy_ms"]
    return "\n".join(
        [
            *lines,
            "",
            f"One output mix by ten segments, users counted, takes with {said}.",
            "",
            f"One after another, a core simulates **{per_minute:.1f}** one-hour releases with three gates a minute. "
            f"A thousand numpy calls on arrays of this size took {calls_ms:.2f} ms in the same run.",
        ]
    )


def joint_table(found: dict[str, Any]) -> str:
    """False alarms of the joint gate, and canary requests until it finds a difference."""
    head = f"healthy, {found['releases']:,} releases of {found['blocks'] * found['block']:,} requests"
    lines = [f"| {head} | 5 % share | 50 % share |", "|---|---|---|"]
    lines += [f"| {kind} | {row['0.05']:.1%} | {row['0.5']:.1%} |" for kind, row in found["healthy"].items()]
    lines += ["", "| different: median canary requests since the start | 5 % share | 50 % share |", "|---|---|---|"]
    lines += [f"| {name} | {row['0.05']:,.0f} | {row['0.5']:,.0f} |" for name, row in found["different"].items()]
    return "\n".join(lines)


TABLES = {
    "packed": packed_table,
    "sharing": sharing_table,
    "client": client_table,
    "ingest": ingest_table,
    "peers": peers_table,
    "growth": growth_table,
    "rollback": rollback_table,
    "latency": latency_table,
    "live_ramps": live_ramps_table,
    "worker": worker_table,
    "memory": memory_table,
    "windows": windows_table,
    "decisions": decisions_table,
    "ramps": ramps_table,
    "healthy": healthy_table,
    "bars": bars_table,
    "nab": nab_table,
    "judgement": judgement_table,
    "joint": joint_table,
}


def write() -> None:
    """Replace what stands between the markers of each table that has a result, and draw the picture."""
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        found = result(name)
        if found is not None:
            before, begin, rest = text.partition(f"<!-- {name} -->\n")
            _, end, after = rest.partition(f"<!-- /{name} -->")
            text = f"{before}{begin}{table(found)}\n{end}{after}"
    README.write_text(text, encoding="utf-8")
    decisions = result("decisions")
    if decisions is not None:
        draw(decisions, HERE / "results" / "decisions.svg")
    ramps = result("ramps")
    if ramps is not None:
        draw_ramps(ramps, HERE / "results" / "ramps.svg")


if __name__ == "__main__":
    write()
