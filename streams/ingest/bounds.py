"""What one slice may hold: names and bytes, admitted in log order from the slice's first offset.

Every bound starts empty at a slice's first offset and admits whoever comes first; it never lets go of what it has
admitted, and what it refused once it refuses for the rest of the slice. So any ingest that starts at the slice's first
offset admits the same names. Names beyond a bound become ``other``, which does not count towards the bound.

**Bytes.** A report must fit a message. Every entry is charged its encoded size at most, from a budget of its kind. An
entry that no budget can pay goes to a place that was paid in advance: a service pays for the cell of its ``other``
version, a version for its ``other`` segment, a cell for its ``other`` metric and label, a metric for its first bin.
What came with a unit is paid with the entry that it belongs to, at its coarsest; how fine it may be has a bound of its
own, and so have the units that are sampled (:mod:`streams.ingest.unit_samples`). All of it together stays below
:data:`REPORT_BYTES_MAX`, so no report can be too large.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from schemas.event import LABELS_MAX, METRICS_MAX, OTHER, SEGMENTS_MAX, VERSIONS_MAX

SERVICES_MAX: Final = 256
LABEL_NAMES_MAX: Final = 32
PANES_MAX: Final = 64
"""Bounds per slice: services; and per service of a slice: names of labels, and panes of event time."""

REPORT_BYTES_MAX: Final = 9_900_000
BINS_MAX: Final = 131_072
"""Histogram bins per slice beyond the first of each metric of each cell; twelve bytes each."""

UNIT_BYTES_MAX: Final = 1_250_000
"""Encoded pairs and sums by bucket of units of one slice; they are coarser when they would need more."""

CELL_BYTES: Final = 216
METRIC_BYTES: Final = 124
LABEL_BYTES: Final = 46
SCATTER_BYTES: Final = 48
"""Encoded sizes at most, without names; with their parts by unit in one bucket."""

_CELLS_BUDGET: Final = 2_500_000
_METRICS_BUDGET: Final = 2_000_000
_LABELS_BUDGET: Final = 1_500_000
_SCATTERS_BUDGET: Final = 400_000

CellKey = tuple[str, str, str, int]


class _Names:
    """The names that one service has had admitted in this slice."""

    __slots__ = ("labels", "metrics", "panes", "panes_sorted", "segments", "versions")

    def __init__(self) -> None:
        self.versions: set[str] = set()
        self.segments: set[str] = set()
        self.metrics: set[str] = set()
        self.labels: dict[str, set[str]] = {}
        self.panes: set[int] = set()
        self.panes_sorted: list[int] = []

    def pane(self, pane: int) -> int:
        """The pane itself while there is room; then the latest admitted one before it, else the earliest."""
        if pane in self.panes:
            return pane
        if len(self.panes) < PANES_MAX:
            self.panes.add(pane)
            return pane
        if not self.panes_sorted:
            self.panes_sorted = sorted(self.panes)
        return self.panes_sorted[max(0, bisect_right(self.panes_sorted, pane) - 1)]


class Admission:
    """The bounds of one slice. All answers depend on the log alone.

    Parameters
    ----------
    services : the only ones that are admitted, or none for any; the same for every ingest.
    """

    __slots__ = (
        "_cells",
        "_cells_left",
        "_homes",
        "_labels_left",
        "_listed",
        "_metrics_left",
        "_scatters_left",
        "_services",
    )

    def __init__(self, services: frozenset[str] = frozenset()) -> None:
        self._listed = services
        self._services: dict[str, _Names] = {OTHER: _Names()}
        self._cells: set[CellKey] = set()
        self._homes: dict[tuple[str, str], int] = {}
        self._cells_left = _CELLS_BUDGET - 2 * _cell_bytes(OTHER, OTHER, OTHER)
        self._metrics_left = _METRICS_BUDGET
        self._labels_left = _LABELS_BUDGET
        self._scatters_left = _SCATTERS_BUDGET

    def cell(self, service: str, version: str, segment: str, pane: int) -> tuple[CellKey, int]:
        """Where an event of these names is counted, and how many of its names were folded.

        The services that find no room share one cell a pane: (other, other, other).
        """
        if (service, version, segment, pane) in self._cells:
            return (service, version, segment, pane), 0
        kept_service = self._service(service)
        folded = kept_service != service
        names = self._services[kept_service]
        kept_version = OTHER if folded else self._version(names, service, version)
        kept_segment = OTHER if folded else _segment(names, segment)
        kept_pane = names.pane(pane)
        key = (kept_service, kept_version, kept_segment, kept_pane)
        if key not in self._cells:
            key = self._open(key)
        return key, sum(a != b for a, b in zip(key, (service, version, segment, pane), strict=True))

    def metric(self, service: str, name: str) -> tuple[str, int]:
        """The name under which a metric of a cell of an admitted service is kept, and 1 if it was folded.

        To be asked once for each new (cell, metric). ``latency_ms`` has a place of its own: no flood of invented
        names pushes it out.
        """
        names = self._services[service].metrics
        if name == OTHER:
            return OTHER, 0
        if name not in names and name != "latency_ms":
            if len(names) >= METRICS_MAX:
                return OTHER, 1
            names.add(name)
        cost = METRIC_BYTES + len(name.encode())
        if cost > self._metrics_left:
            return OTHER, 1
        self._metrics_left -= cost
        return name, 0

    def label(self, service: str, name: str, value: str) -> tuple[str, str, int]:
        """The name and value under which a label is kept, and how many of the two were folded.

        To be asked once for each new (cell, label, value). A value beyond the bound becomes ``other`` of its label; a
        label beyond the bound, or the budget, becomes ``other`` altogether.
        """
        labels = self._services[service].labels
        values = labels.get(name)
        if values is None:
            if len(labels) >= LABEL_NAMES_MAX or name == OTHER:
                return OTHER, OTHER, (name != OTHER) + (value != OTHER)
            values = labels[name] = set()
        kept = value
        if value not in values and value != OTHER:
            if len(values) >= LABELS_MAX:
                kept = OTHER
            else:
                values.add(value)
        return name, kept, int(kept != value)

    def pay_label(self, name: str, value: str) -> bool:
        """Charge a label that a cell is about to open; False when the budget is spent."""
        cost = LABEL_BYTES + len(name.encode()) + len(value.encode())
        if cost > self._labels_left:
            return False
        self._labels_left -= cost
        return True

    def pay_scatter(self, dimensions: int) -> bool:
        """Charge the vectors of a cell, which nothing has paid in advance; False when the budget is spent."""
        cost = SCATTER_BYTES + 4 * dimensions * (dimensions + 3)
        if cost > self._scatters_left:
            return False
        self._scatters_left -= cost
        return True

    def _service(self, service: str) -> str:
        if service in self._services:
            return service
        if self._listed and service not in self._listed:
            return OTHER
        if len(self._services) > SERVICES_MAX:  # `other` is among them and does not count
            return OTHER
        # Its place in Report.folded, and the cell of its `other` version.
        if not self._pay(2 * len(service.encode()) + _cell_bytes("", OTHER, OTHER)):
            return OTHER
        self._services[service] = _Names()
        return service

    def _version(self, names: _Names, service: str, version: str) -> str:
        if version in names.versions or version == OTHER:
            return version
        if len(names.versions) >= VERSIONS_MAX or not self._pay(_cell_bytes(service, version, OTHER)):
            return OTHER
        names.versions.add(version)
        return version

    def _open(self, key: CellKey) -> CellKey:
        service, version, segment, pane = key
        if not self._pay(_cell_bytes(service, version, segment)):
            # The cell that was paid for when the version was admitted; its pane is the first that needed it.
            key = (service, version, OTHER, self._homes.setdefault((service, version), pane))
        self._cells.add(key)
        return key

    def _pay(self, cost: int) -> bool:
        if cost > self._cells_left:
            return False
        self._cells_left -= cost
        return True


def _cell_bytes(service: str, version: str, segment: str) -> int:
    return CELL_BYTES + len(service.encode()) + len(version.encode()) + len(segment.encode())


def _segment(names: _Names, segment: str) -> str:
    if segment in ("", OTHER) or segment in names.segments:
        return segment
    if len(names.segments) >= SEGMENTS_MAX:
        return OTHER
    names.segments.add(segment)
    return segment
