"""Reports: what ingest says of a slice of one source partition, cut by log time."""

from __future__ import annotations

import msgspec

SLICE_MS = 250
"""Length of a slice. Part of the format, not a setting: two lengths at once would count events twice."""

PANE_MS = 10_000
"""Length of a pane of event time, the grain of the tables that operators query."""

REPORT_VERSION = 1


class MetricCell(msgspec.Struct, array_like=True, gc=False):
    """One numeric metric of one cell: moments, extremes, and a sparse histogram.

    ``bins`` holds little-endian int32 bin indexes in ascending order, ``counts`` the little-endian int64 count of
    each. The bins are those of :class:`detectors.summaries.log_histogram.LogHistogram`.
    """

    name: str
    n: int
    mean: float
    m2: float
    low: float
    high: float
    bins: bytes
    counts: bytes


class LabelCell(msgspec.Struct, array_like=True, gc=False):
    """Counts of the values of one label of one cell."""

    name: str
    counts: dict[str, int]


class Cell(msgspec.Struct, array_like=True, gc=False):
    """The sum of the events of one service, version, segment and pane within one slice.

    ``pane`` is ``ts_ms // PANE_MS``. ``n`` and ``errors`` count requests; feedback contributes metrics named
    ``feedback.*`` only. Metric names are those of a plan: ``latency_ms``, ``values.tokens_out``, ``feedback.rating``.
    Label names are bare: ``finish_reason``.
    """

    service: str
    version: str
    segment: str
    pane: int
    n: int
    errors: int
    metrics: list[MetricCell] = []
    labels: list[LabelCell] = []


class Report(msgspec.Struct, tag="report", tag_field="type", omit_defaults=True):
    """The full prefix of one slice, from one source partition, for the services of one partition of ``canary.inputs``.

    The longest prefix wins: of all reports of the same ``(topic_id, source, slice_no)`` the one with the largest
    ``through_offset`` is the truth so far. A report without cells says that time has passed.
    """

    topic_id: str
    source: int
    slice_no: int
    first_offset: int
    through_offset: int
    cells: list[Cell] = []
    format: int = REPORT_VERSION
    folded: dict[str, int] = {}
    """Per service: how often a name, a pane or a bin beyond its bound was replaced in this slice so far."""
    newest_ms: int = 0
    """Log-append time of the newest record in the prefix; 0 when there is none."""
