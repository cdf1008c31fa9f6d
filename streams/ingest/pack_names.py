"""The names in a batch of packs."""

from __future__ import annotations

from schemas.packed import Pack
from streams.ingest.columns import Codes
from streams.ingest.pack_shape import check_name


class PackNames:
    """The codes of the names of a batch; a name is checked when it gets its code."""

    def __init__(self) -> None:
        self.versions: Codes[tuple[str, str]] = Codes()
        self.segments: Codes[str] = Codes()
        self.metrics: Codes[str] = Codes()
        self.labels: Codes[tuple[str, str]] = Codes()

    def add(self, pack: Pack) -> None:
        """Give codes to the names of a pack; raises :class:`Malformed` when one is none."""
        for version in pack.versions:
            if (pack.service, version) not in self.versions:
                check_name(pack.service, "$.service")
                check_name(version, "$.versions")
                self.versions.give((pack.service, version))
        for segment in pack.segments:
            if segment not in self.segments:
                check_name(segment, "$.segments", empty_allowed=True)
                self.segments.give(segment)
        for name in pack.values:
            if name not in self.metrics:
                check_name(name, f"$.values.{name[:64]}")
                self.metrics.give(name)
        for name, label in pack.labels.items():
            for value in label.names:
                if (name, value) not in self.labels:
                    check_name(name, f"$.labels.{name[:64]}")
                    check_name(value, f"$.labels.{name[:64]}", empty_allowed=True)
                    self.labels.give((name, value))
