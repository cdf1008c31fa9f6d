"""What the Python peers keep of one key and pane: sums, without the two histograms that Serinus keeps."""

from __future__ import annotations

from typing import Any

Cell = dict[str, Any]


def empty() -> Cell:
    """A cell of no events."""
    return {
        "n": 0,
        "errors": 0,
        "latency_sum": 0.0,
        "latency_squares": 0.0,
        "tokens_sum": 0.0,
        "tokens_squares": 0.0,
        "labels": {},
    }


def add(cell: Cell, event: dict[str, Any]) -> Cell:
    """Count one decoded event into the cell, which is changed and returned."""
    latency_ms = event["latency_ms"]
    tokens = event["values"]["tokens_out"]
    label = event["labels"]["finish_reason"]
    labels = cell["labels"]
    cell["n"] += 1
    cell["errors"] += event["error"]
    cell["latency_sum"] += latency_ms
    cell["latency_squares"] += latency_ms * latency_ms
    cell["tokens_sum"] += tokens
    cell["tokens_squares"] += tokens * tokens
    labels[label] = labels.get(label, 0) + 1
    return cell


def merge(left: Cell, right: Cell) -> Cell:
    """The cell of both; the left one is changed and returned."""
    for name, value in right["labels"].items():
        left["labels"][name] = left["labels"].get(name, 0) + value
    for name, value in right.items():
        if name != "labels":
            left[name] += value
    return left
