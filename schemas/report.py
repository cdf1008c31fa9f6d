"""Reports: what ingest says of a slice of one source partition, cut by log time."""

from __future__ import annotations

from typing import Annotated

import msgspec

SLICE_MS = 250
"""Length of a slice. Part of the format, not a setting: two lengths at once would count events twice."""

PANE_MS = 10_000
"""Length of a pane of event time, the grain of the tables that operators query."""

REPORT_VERSION = 1

COUNT_MAX = 2**40
"""More than a slice can hold. Sums of as many counts as there are slices in a year stay far inside an int64."""

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Place = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]
"""An offset, the number of a slice or a pane, or a time."""


class MetricCell(msgspec.Struct, array_like=True, gc=False):
    """One numeric metric of one cell: moments, extremes, and a sparse histogram.

    ``bins`` holds little-endian int32 bin indexes in ascending order, ``counts`` the little-endian int64 count of
    each. The bins are those of :class:`detectors.summaries.log_histogram.LogHistogram`.
    """

    name: str
    n: Count
    mean: float
    m2: float
    low: float
    high: float
    bins: bytes
    counts: bytes


class LabelCell(msgspec.Struct, array_like=True, gc=False):
    """Counts of the values of one label of one cell."""

    name: str
    counts: dict[str, Count]


class UnitPairs(msgspec.Struct, array_like=True, gc=False):
    """Counts by group and bucket of units (:mod:`schemas.unit_hash`); only pairs that occurred, groups in order.

    ``sizes`` has one byte for each group: how many pairs it has. ``buckets`` has one byte for each pair, ascending
    within a group. ``counts`` has one little-endian unsigned integer for each pair, all of 1, 2, 4 or 8 bytes; it is
    empty when every count is 1.
    """

    sizes: bytes
    buckets: bytes
    counts: bytes


class UnitMetric(msgspec.Struct, array_like=True, gc=False):
    """By bucket of units: the values of one metric that came with a unit.

    The groups of ``pairs`` are the metric's bins, or a single one when it has no histogram. ``sums`` holds the
    little-endian float64 sum of the values in each bucket that occurs, ascending; ``m2`` is the sum of squared
    deviations of all these values from their mean.
    """

    pairs: UnitPairs
    sums: bytes
    m2: float


class UnitSample(msgspec.Struct, array_like=True, gc=False):
    """Units that are first seen in one cell: of each service the UNITS_SAMPLED_MAX with the smallest hashes in a slice.

    ``hashes`` holds little-endian uint64, ascending; ``buckets`` the splitter's bucket of each as little-endian int32,
    -1 where the event had none, and is empty when none had; ``epochs`` the routing epochs as little-endian int64: one
    for each unit, or one that they all have, or empty when none had, -1 where the event had none.
    """

    hashes: bytes
    buckets: bytes
    epochs: bytes


class UnitCell(msgspec.Struct, array_like=True, gc=False):
    """By bucket of units: the requests and values of one cell that came with a unit.

    The groups of ``requests`` are the answered and the failed ones. ``metrics`` and ``labels`` stand in the order of
    the cell's, None where no value came with a unit; the groups of a label are its values in the order of its counts.
    """

    requests: UnitPairs
    metrics: list[UnitMetric | None] = []
    labels: list[UnitPairs | None] = []
    sample: UnitSample | None = None


class ScatterCell(msgspec.Struct, array_like=True, gc=False):
    """Mean vector and co-moments of the events of one cell that carry all metrics of a joint gate.

    ``basis`` is the number of the :class:`schemas.basis.Basis` whose coordinates were used. ``mean`` holds d
    little-endian float64, ``s`` the d (d + 1) / 2 of the upper triangle of the co-moments, row by row.
    """

    basis: Place
    n: Count
    mean: bytes
    s: bytes


class Cell(msgspec.Struct, array_like=True, gc=False):
    """The sum of the events of one service, version, segment and pane within one slice.

    ``pane`` is ``ts_ms // PANE_MS``. ``n`` and ``errors`` count requests; feedback contributes metrics named
    ``feedback.*`` only. Metric names are those of a plan: ``latency_ms``, ``values.tokens_out``, ``feedback.rating``.
    Label names are bare: ``finish_reason``. ``units`` is there only when events carried a unit,
    ``scatter`` only of a service whose release has a joint gate that has learned its basis.
    """

    service: str
    version: str
    segment: str
    pane: Place
    n: Count
    errors: Count
    metrics: list[MetricCell] = []
    labels: list[LabelCell] = []
    units: UnitCell | None = None
    scatter: ScatterCell | None = None


class Report(msgspec.Struct, tag="report", tag_field="type", omit_defaults=True):
    """The full prefix of one slice, from one source partition, for the services of one partition of ``canary.inputs``.

    The longest prefix wins: of all reports of the same ``(topic_id, source, slice_no)`` the one with the largest
    ``through_offset`` is the truth so far. A report without cells says that time has passed.
    """

    topic_id: str
    source: Place
    slice_no: Place
    first_offset: Place
    through_offset: Place
    cells: list[Cell] = []
    format: int = REPORT_VERSION
    folded: dict[str, Count] = {}
    """Per service: how often a name, a pane or a bin beyond its bound was replaced in this slice so far."""
    newest_ms: Place = 0
    """Log-append time of the newest record in the prefix; 0 when there is none."""
