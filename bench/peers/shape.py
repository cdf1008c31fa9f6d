"""What the programs here know of the topic. Imports nothing: peers live in environments of their own."""

from __future__ import annotations

PARTITIONS = 4
PANE_MS = 10_000
END = "end"
"""The key of the last event of each partition begins with it. It is so late that it closes every earlier pane."""
