"""The names in a batch of packs."""

from __future__ import annotations

from schemas.packed import Pack
from streams.ingest.columns import Codes
from streams.ingest.pack_shape import check_name


class PackNames:
    """The codes of the names of a batch; a name is checked when it gets its code.

    Packs of one process repeat their lists of names, so each list is looked at once.
    """

    def __init__(self) -> None:
        self.versions: Codes[tuple[str, str]] = Codes()
        self.segments: Codes[str] = Codes()
        self.metrics: Codes[str] = Codes()
        self.labels: Codes[tuple[str, str]] = Codes()
        self._versions: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        self._segments: dict[tuple[str, ...], list[int]] = {}
        self._labels: dict[tuple[str, tuple[str, ...]], list[int]] = {}

    def add(self, pack: Pack) -> None:
        """Give codes to the names of a pack; raises :class:`Malformed` when one is none."""
        if (pack.service, pack.versions) not in self._versions:
            self._add_versions(pack.service, pack.versions)
        if pack.segments not in self._segments:
            self._add_segments(pack.segments)
        for name in pack.values:
            if name not in self.metrics:
                check_name(name, f"$.values.{name[:64]}")
                self.metrics.give(name)
        for name, label in pack.labels.items():
            if (name, label.names) not in self._labels:
                self._add_labels(name, label.names)

    def versions_of(self, pack: Pack) -> list[int]:
        """What the codes of a pack's versions stand for."""
        return self._versions[pack.service, pack.versions]

    def segments_of(self, pack: Pack) -> list[int]:
        """What the codes of a pack's segments stand for."""
        return self._segments[pack.segments]

    def labels_of(self, name: str, values: tuple[str, ...]) -> list[int]:
        """What the codes of a label's values stand for."""
        return self._labels[name, values]

    def _add_versions(self, service: str, versions: tuple[str, ...]) -> None:
        for version in versions:
            if (service, version) not in self.versions:
                check_name(service, "$.service")
                check_name(version, "$.versions")
                self.versions.give((service, version))
        self._versions[service, versions] = [self.versions[service, version] for version in versions]

    def _add_segments(self, segments: tuple[str, ...]) -> None:
        for segment in segments:
            if segment not in self.segments:
                check_name(segment, "$.segments", empty_allowed=True)
                self.segments.give(segment)
        self._segments[segments] = [self.segments[segment] for segment in segments]

    def _add_labels(self, name: str, values: tuple[str, ...]) -> None:
        for value in values:
            if (name, value) not in self.labels:
                check_name(name, f"$.labels.{name[:64]}")
                check_name(value, f"$.labels.{name[:64]}", empty_allowed=True)
                self.labels.give((name, value))
        self._labels[name, values] = [self.labels[name, value] for value in values]
